#!/usr/bin/env bash
# One experiment on a TPU slice of Google Cloud, on all of its VMs.
# Fill in, as variables of the environment (gcloud auth login and a project come first):
#   NAME, ZONE              of the TPU, as cellrec and us-west4-a
#   TYPE, VERSION           as v5litepod-16 and v2-alpha-tpuv5-lite
#   IMAGES=gs://BUCKET/DIR  the images' folder: ../images on every VM
#
#   launch/tpu_vm.sh [--dry-run] [--spot] [--queued] [--retry N] STEP [FLAGS OF A RUN]
#   launch/tpu_vm.sh --spot --retry 5 all --config ki67_bde \
#     --config.data.root=../images --workdir gs://BUCKET/ki67
#
# STEP: create, install (this checkout, as committed), images (brings them), run (on all
# VMs, without waiting), follow (the first VM's output to the run's end), stop (the run
# saves), delete; or all, which deletes whatever happens (Ctrl-C and a closed terminal
# have the run save first) and, after a preemption, starts anew --retry times.
# --dry-run prints every command and runs none. --queued asks as a queued resource.
# `all` refuses a NAME that exists: it would delete what it did not make.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

say() { echo "tpu_vm.sh: $*" >&2; }
usage() {
  say "$1"
  exit 2
}
dry=0 queued=0 retries=0 spot=""
poll=${POLL_S:-60} # seconds between questions and tries
words=()
while (($#)); do # this script's flags may stand anywhere: a run has none of their names
  case $1 in
  -h | --help)
    sed -n '2,/^set/s/^# \{0,1\}//p' launch/tpu_vm.sh
    exit
    ;;
  --dry-run) dry=1 ;;
  --spot) spot=--spot ;;
  --queued) queued=1 ;;
  --retry=*)
    set -- --retry "${1#*=}" "${@:2}"
    continue
    ;;
  --retry)
    [[ ${2-} =~ ^[0-9]+$ ]] || usage "--retry ${2-}: give a number"
    retries=$2
    shift
    ;;
  *) words+=("$1") ;;
  esac
  shift
done
step=${words[0]-}
set -- ${words[@]+"${words[@]:1}"}
[[ $step != --* ]] || usage "$step: no such flag; those of the run come after the step"
for name in NAME ZONE TYPE VERSION; do
  [[ ${!name-} ]] || usage "$name is not set; see the head of launch/tpu_vm.sh"
done
# shellcheck disable=SC2153
tpu=$NAME

# Words as a shell reads them, in quotes where they need some.
quoted() {
  local word escaped="'\\''"
  for word in "$@"; do
    case $word in
    *[!A-Za-z0-9_./:=@%+,-]* | "") printf "'%s' " "${word//\'/$escaped}" ;;
    *) printf '%s ' "$word" ;;
    esac
  done
}
call() { if ((dry)); then quoted "$@" && echo; else "$@"; fi; }
gcloud_tpu() { call gcloud compute tpus "$1" "$2" "$tpu" --zone="$ZONE" "${@:3}"; }
on() { gcloud_tpu tpu-vm ssh --worker="$1" --command="$2"; }

create() {
  local state asked=(--accelerator-type="$TYPE" ${spot:+"$spot"})
  if ((!queued)); then
    gcloud_tpu tpu-vm create --version="$VERSION" "${asked[@]}"
    return
  fi
  gcloud_tpu queued-resources create --node-id="$tpu" --runtime-version="$VERSION" \
    "${asked[@]}" || return
  if ((dry)); then
    queue_state
    return
  fi
  while state=$(queue_state) && [[ $state != ACTIVE ]]; do
    [[ $state != FAILED && $state != SUSPENDED ]] || break
    say "queued: $state"
    sleep "$poll"
  done
  [[ $state == ACTIVE ]]
}
queue_state() { gcloud_tpu queued-resources describe --format='value(state.state)'; }

# uv brings Python 3.11, which the VMs lack.
install() {
  local archive
  archive=$(mktemp -d)/cellrec.tar.gz
  call git archive --format=tar.gz --output="$archive" HEAD || return
  call gcloud compute tpus tpu-vm scp "$archive" "$tpu:cellrec.tar.gz" \
    --zone="$ZONE" --worker=all || return
  on all "rm -rf cellrec && mkdir cellrec && tar xzf cellrec.tar.gz -C cellrec && \
pip install --quiet --user uv && cd cellrec && \
~/.local/bin/uv venv --quiet --python 3.11 .venv && \
~/.local/bin/uv pip install --quiet -c launch/constraints.txt 'jax[tpu]' '.[gcs]'"
}

# Beside the checkout, which `install` makes anew; without IMAGES nothing.
images() {
  [[ ${IMAGES-} ]] || return 0
  on all "mkdir -p images && gcloud storage rsync --recursive $(quoted "$IMAGES")images"
}

# Outlives the connection. run.pid is of the program itself, which SIGTERM is for.
run() {
  local program
  program=$(quoted .venv/bin/python -m cellrec_jax.main "$@" --multihost)
  program="$program & echo \$! >run.pid; wait \$!; echo \$? >run.code"
  on all "cd cellrec && rm -f run.pid run.code && \
{ setsid bash -c $(quoted "$program") >run.log 2>&1 </dev/null & }"
}

follow() {
  on 0 "cd cellrec && until [ -s run.pid ]; do sleep 1; done; \
tail -n +1 -f --pid=\$(cat run.pid) run.log; sleep 1; \
code=\$(cat run.code) && exit \$code; exit 1"
}

stop() {
  on all "cd cellrec && kill -TERM \$(cat run.pid); \
tail -f /dev/null --pid=\$(cat run.pid)"
}

# `all` deletes what is named so: only what it made itself.
refuse_what_exists() {
  local kind=tpu-vm names
  ((!queued)) || kind="queued-resources"
  names=$(call gcloud compute tpus "$kind" list --zone="$ZONE" \
    --format='value(name.basename())') || exit
  if ((dry)); then echo "$names"; fi
  ! grep -qxF -e "$tpu" <<<"$names" ||
    usage "$tpu exists, and all would delete it: delete it, name another, or give run"
}

delete() {
  if ((queued)); then
    gcloud_tpu queued-resources delete --force --quiet
  else
    gcloud_tpu tpu-vm delete --quiet
  fi
}

is_ready() {
  [[ $(gcloud_tpu tpu-vm describe --format='value(state)' 2>/dev/null) == READY ]]
}

# Whether one VM alone found the usage wrong, of which the others die.
any_misused() { [[ $(on all "cat cellrec/run.code" 2>/dev/null) =~ (^|$'\n')2($|$'\n') ]]; }

# Follows through broken connections, of which 255 tells.
watch() {
  local code
  for _ in {1..20}; do
    follow
    code=$?
    { ((code == 255)) && is_ready; } || break
    sleep "$poll"
  done
  return "$code"
}

# A closed terminal hangs up more than once: not on what stops and deletes.
interrupted() {
  trap '' HUP
  say "the run saves, then the TPU is deleted"
  stop
  exit "$1"
}

all() {
  local code attempt
  refuse_what_exists
  trap 'interrupted 130' INT
  trap 'interrupted 143' TERM
  trap 'interrupted 129' HUP
  trap delete EXIT
  for ((attempt = 0; ; attempt++)); do
    if ((attempt)) && is_ready; then
      on all "kill -KILL \$(cat cellrec/run.pid); sleep 1" # of a process that hangs
    else
      if ((attempt)); then
        delete
        sleep "$poll"
      fi
      create && install && images
    fi && run "$@" && watch
    code=$?
    ((dry)) && return
    case $code in 0 | 2 | 130) return "$code" ;; esac
    ((code != 143)) || sleep "$poll" # a preemption shows late
    if is_ready; then
      ((code != 143)) || return "$code" # by `stop`
      any_misused && return 2
      say "ended with $code; where this log tells no cause, run.log of another VM may"
    else
      say "the TPU was preempted, or could not be made (code $code)"
    fi
    if ((attempt >= retries)); then
      say "gives up after $retries retries; repeat to go on from what is saved"
      return "$code"
    fi
  done
}

case $step in
create | install | images | run | follow | stop | delete | all) ;;
*) usage "${step:-no step}: give a step, of those that the head of launch/tpu_vm.sh lists" ;;
esac
if [[ $step == run || $step == all ]]; then
  [[ " $*" == *" --workdir"[=\ ]gs://?* ]] ||
    usage "give --workdir gs://BUCKET/DIR, of all VMs: their own disks are deleted"
elif [[ $step == images && ! ${IMAGES-} ]]; then
  usage "IMAGES is not set; see the head of launch/tpu_vm.sh"
elif (($#)); then
  usage "$step takes no flags, but has $*"
fi
"$step" "$@"
