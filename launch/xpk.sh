#!/usr/bin/env bash
# One experiment on a GKE cluster by XPK (pip install xpk), on TPUs or GPUs.
# Fill in, as variables of the environment:
#   NAME, IMAGE                 of the workload; image built from launch/Dockerfile, for
#                               TPUs with --build-arg RUN_AS=0, as XPK names no user
#   CLUSTER, PROJECT, ZONE      where `xpk cluster create` made one
#   TPU=v5litepod-16 or GPU=h100-80gb-8, one of the two
#   COUNT=1                     slices of TPUs, or nodes of GPUs
#   RESTARTS=10                 after preemptions and deaths of processes
#   MOUNT=/data                 where pods mount the storage of images
#
#   launch/xpk.sh [--dry-run] --config ki67_bde --config.data.root=/data/images \
#     --workdir gs://BUCKET/ki67
#
# Images lie on a storage that all pods mount: xpk storage attach --auto-mount=true
# --mount-point=/data (its other flags say which); --workdir may, too.
# --dry-run prints the command. Then: xpk workload list, xpk workload delete.
set -euo pipefail

usage() {
  echo "xpk.sh: $1" >&2
  exit 2
}
run=() flags=()
for word in "$@"; do
  case $word in
  -h | --help)
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0"
    exit
    ;;
  --dry-run) run=(printf '%q ') ;;
  *) flags+=("$word") ;;
  esac
done
set -- ${flags[@]+"${flags[@]}"}
for name in NAME IMAGE CLUSTER PROJECT ZONE; do
  [[ ${!name-} ]] || usage "$name is not set; see the head of launch/xpk.sh"
done
shared="gs://|${MOUNT:-/data}/"
[[ " $*" =~ \ --workdir[=\ ]($shared) ]] ||
  usage "give --workdir gs://BUCKET/DIR or ${MOUNT:-/data}/DIR, which all hosts see"

# XPK writes the command into YAML, between double quotes, for a shell of the pod.
words="python -m cellrec_jax.main"
for word in "$@"; do
  case $word in
  *[\'\"\\\$\`]*) usage "$word: has quotes, \$ or backslashes, which XPK spoils" ;;
  *[!A-Za-z0-9_./:=@%+,-]* | "") words+=" '$word'" ;;
  *) words+=" $word" ;;
  esac
done

if [[ ${TPU-} && ! ${GPU-} ]]; then
  device=(--tpu-type="$TPU" --num-slices="${COUNT:-1}")
  words="exec $words"
elif [[ ${GPU-} && ! ${TPU-} ]]; then
  device=(--device-type="$GPU" --num-nodes="${COUNT:-1}")
  # XPK's own names of these; on TPUs JAX asks the cluster. As variables, not by
  # --multihost: who comes late then ends with 1 and starts again.
  # shellcheck disable=SC2016 # the pod fills them in
  told='JAX_COORDINATOR_ADDRESS=$JAX_COORDINATOR_ADDRESS:$JAX_COORDINATOR_PORT '
  # shellcheck disable=SC2016
  told+='JAX_NUM_PROCESSES=$NNODES JAX_PROCESS_ID=$NODE_RANK'
  words="$told exec $words"
else
  usage "set TPU or GPU, one of the two, as TPU=v5litepod-16 or GPU=h100-80gb-8"
fi

# Without more flags XPK restarts after codes 42 and 127 to 255: a kill, or SIGTERM's
# 143; 1 is a peer's that lost another. Wrong usage, 2, ends the workload.
# shellcheck disable=SC2153 # NAME is the user's
${run[@]+"${run[@]}"} xpk workload create \
  --workload="$NAME" --cluster="$CLUSTER" --project="$PROJECT" --zone="$ZONE" \
  "${device[@]}" --docker-image="$IMAGE" --max-restarts="${RESTARTS:-10}" \
  --restart-on-exit-codes=1 --termination-grace-period-seconds=300 \
  --command="$words"
