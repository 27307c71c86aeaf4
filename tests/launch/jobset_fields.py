"""Fields that a JobSet may have, from the APIs' own definitions.

All fields of jobset.x-k8s.io/v1alpha2 (`JobSetSpec` in jobset_types.go and below), and
of Kubernetes those of `JobSpec`, `PodSpec`, `Container`, `Volume` and what the launch
files use below them. `ANY` stands for fields that are known by name alone.
"""

ANY = object
MAP = dict
"""Of names that users choose."""


def _any(*names):
    """Fields known by name alone."""
    return dict.fromkeys(names, ANY)


_META = {"name": str, "namespace": str, "labels": MAP, "annotations": MAP}
_META |= {"generateName": str, "finalizers": [str], "ownerReferences": [MAP]}
_RESOURCES = {"limits": MAP, "requests": MAP, "claims": [MAP]}
_SOURCES = _any("configMapKeyRef", "fileKeyRef", "resourceFieldRef", "secretKeyRef")
_SOURCES["fieldRef"] = {"apiVersion": str, "fieldPath!": str}
_CONTAINER = {
    "name!": str,
    "image": str,
    "imagePullPolicy": str,
    "command": [str],
    "args": [str],
    "workingDir": str,
    "env": [{"name!": str, "value": str, "valueFrom": _SOURCES}],
    "envFrom": [MAP],
    "ports": [
        {
            "containerPort!": int,
            "hostIP": str,
            "hostPort": int,
            "name": str,
            "protocol": str,
        }
    ],
    "resources": _RESOURCES,
    "resizePolicy": [MAP],
    "restartPolicy": str,
    "restartPolicyRules": [MAP],
    "stdin": bool,
    "stdinOnce": bool,
    "tty": bool,
    "terminationMessagePath": str,
    "terminationMessagePolicy": str,
    "volumeDevices": [MAP],
    "volumeMounts": [
        {
            "name!": str,
            "mountPath!": str,
            "mountPropagation": str,
            "readOnly": bool,
            "recursiveReadOnly": str,
            "subPath": str,
            "subPathExpr": str,
        }
    ],
    **_any("lifecycle", "livenessProbe", "readinessProbe", "startupProbe"),
    **_any("securityContext"),
}
_POD_SECURITY = {
    "runAsUser": int,
    "runAsGroup": int,
    "runAsNonRoot": bool,
    "fsGroup": int,
    "fsGroupChangePolicy": str,
    "supplementalGroups": [int],
    "supplementalGroupsPolicy": str,
    "seLinuxChangePolicy": str,
    "sysctls": [MAP],
    **_any("appArmorProfile", "seLinuxOptions", "seccompProfile", "windowsOptions"),
}
_VOLUME = {
    "name!": str,
    "persistentVolumeClaim": {"claimName!": str, "readOnly": bool},
    "emptyDir": {"medium": str, "sizeLimit": str},
    **_any("awsElasticBlockStore", "azureDisk", "azureFile", "cephfs", "cinder"),
    **_any("configMap", "csi", "downwardAPI", "ephemeral", "fc", "flexVolume"),
    **_any("flocker", "gcePersistentDisk", "gitRepo", "glusterfs", "hostPath"),
    **_any("image", "iscsi", "nfs", "photonPersistentDisk", "portworxVolume"),
    **_any("projected", "quobyte", "rbd", "scaleIO", "secret", "storageos"),
    **_any("vsphereVolume"),
}
_POD = {
    "activeDeadlineSeconds": int,
    "automountServiceAccountToken": bool,
    "containers!": [_CONTAINER],
    "initContainers": [_CONTAINER],
    "dnsPolicy": str,
    "enableServiceLinks": bool,
    "hostIPC": bool,
    "hostNetwork": bool,
    "hostPID": bool,
    "hostUsers": bool,
    "hostname": str,
    "hostnameOverride": str,
    "imagePullSecrets": [{"name": str}],
    "nodeName": str,
    "nodeSelector": MAP,
    "overhead": MAP,
    "preemptionPolicy": str,
    "priority": int,
    "priorityClassName": str,
    "resources": _RESOURCES,
    "restartPolicy": str,
    "runtimeClassName": str,
    "schedulerName": str,
    "securityContext": _POD_SECURITY,
    "serviceAccount": str,
    "serviceAccountName": str,
    "setHostnameAsFQDN": bool,
    "shareProcessNamespace": bool,
    "subdomain": str,
    "terminationGracePeriodSeconds": int,
    "tolerations": [
        {
            "key": str,
            "operator": str,
            "value": str,
            "effect": str,
            "tolerationSeconds": int,
        }
    ],
    "volumes": [_VOLUME],
    **_any("affinity", "dnsConfig", "ephemeralContainers", "hostAliases", "os"),
    **_any("readinessGates", "resourceClaims", "schedulingGates", "schedulingGroup"),
    **_any("topologySpreadConstraints"),
}
_JOB = {
    "activeDeadlineSeconds": int,
    "backoffLimit": int,
    "backoffLimitPerIndex": int,
    "completionMode": str,
    "completions": int,
    "managedBy": str,
    "manualSelector": bool,
    "maxFailedIndexes": int,
    "parallelism": int,
    "podFailurePolicy": {
        "rules!": [
            {
                "action!": str,
                "onExitCodes": {
                    "containerName": str,
                    "operator!": str,
                    "values!": [int],
                },
                "onPodConditions": [{"type!": str, "status": str}],
            }
        ]
    },
    "podReplacementPolicy": str,
    "selector": MAP,
    "successPolicy": {
        "rules!": [{"succeededCount": int, "succeededIndexes": str}],
    },
    "suspend": bool,
    "template!": {"metadata": _META, "spec!": _POD},
    "ttlSecondsAfterFinished": int,
}
JOBSET = {
    "apiVersion!": str,
    "kind!": str,
    "metadata!": _META | {"name!": str},
    "spec!": {
        "replicatedJobs!": [
            {
                "name!": str,
                "groupName": str,
                "template!": {"metadata": _META, "spec!": _JOB},
                "replicas": int,
                "dependsOn": [{"name!": str, "status!": str}],
            }
        ],
        "network": {
            "enableDNSHostnames": bool,
            "subdomain": str,
            "publishNotReadyAddresses": bool,
        },
        "successPolicy": {"operator!": str, "targetReplicatedJobs": [str]},
        "failurePolicy": {
            "maxRestarts": int,
            "restartStrategy": str,
            "rules": [
                {
                    "name!": str,
                    "action!": str,
                    "onJobFailureReasons": [str],
                    "onJobFailureMessagePatterns": [str],
                    "targetReplicatedJobs": [str],
                }
            ],
        },
        "startupPolicy": {"startupPolicyOrder!": str},
        "suspend": bool,
        "coordinator": {"replicatedJob!": str, "jobIndex": int, "podIndex": int},
        "managedBy": str,
        "ttlSecondsAfterFinished": int,
        "volumeClaimPolicies": [
            {"templates": [MAP], "retentionPolicy": {"whenDeleted": str}}
        ],
    },
}
"""Field -> type, or the fields below it; in a list of each item. `!`: required."""
CHOICES = {
    ".spec.failurePolicy.rules.action": {
        "FailJobSet",
        "RestartJobSet",
        "RestartJobSetAndIgnoreMaxRestarts",
        "RestartJob",
        "RestartJobAndIgnoreMaxRestarts",
    },
    ".spec.failurePolicy.restartStrategy": {
        "Recreate",
        "BlockingRecreate",
        "InPlaceRestart",
    },
    ".spec.replicatedJobs.template.spec.completionMode": {"Indexed", "NonIndexed"},
    ".spec.replicatedJobs.template.spec.podFailurePolicy.rules.action": {
        "FailJob",
        "FailIndex",
        "Ignore",
        "Count",
    },
    ".spec.replicatedJobs.template.spec.podFailurePolicy.rules.onExitCodes.operator": {
        "In",
        "NotIn",
    },
    ".spec.replicatedJobs.template.spec.template.spec.restartPolicy": {
        "Never",
        "OnFailure",
    },
}
"""What the APIs allow where they list it; pods of a Job are not always restarted."""
