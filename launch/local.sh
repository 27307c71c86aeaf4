#!/usr/bin/env bash
# One experiment as several processes of one machine: one a GPU, or on CPUs, to try it.
# Fill in:
#   --processes N     default: as many as nvidia-smi lists, or CUDA_VISIBLE_DEVICES, else 1
#   --restarts N      how often all start again after one has died (default 3)
#   PYTHON=python3    the interpreter that has cellrec_jax
#   GRACE_S=10        seconds that processes have to end in, after one died
# and the flags of python -m cellrec_jax.main, always with --workdir:
#
#   launch/local.sh --processes 2 --config ki67_bde:demo --workdir runs/demo
#
# Says which process died and how. Ctrl-C and SIGTERM reach all, which save and end with
# 130 or 143; the same command goes on. What ends with 1 in its first minute starts
# nothing again: its error would come again. Needs bash 4.4.
set -uo pipefail
set -m # each process is a group of its own: the terminal's Ctrl-C comes from here, once

exec 3>&2
say() { echo "local.sh: $*" >&3; }
usage() {
  say "$1"
  exit 2
}
((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 404)) || usage "needs bash 4.4 or later"

gpus=0
if command -v nvidia-smi >/dev/null; then
  gpus=$(nvidia-smi -L 2>/dev/null | grep -c '^GPU')
fi
if ((gpus)) && [[ -v CUDA_VISIBLE_DEVICES ]]; then
  gpus=0
  IFS=, read -ra seen <<<"$CUDA_VISIBLE_DEVICES"
  for one in "${seen[@]}"; do
    [[ $one =~ ^([0-9]+$|GPU-|MIG-) ]] || break # CUDA, too, reads to the first other
    ((++gpus))
  done
fi
processes=$((gpus > 1 ? gpus : 1))
restarts=3 words=()
while (($#)); do
  case $1 in
  -h | --help)
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0"
    exit
    ;;
  --processes=* | --restarts=*)
    set -- "${1%%=*}" "${1#*=}" "${@:2}"
    continue
    ;;
  --processes | --restarts)
    [[ ${2-} =~ ^[0-9]+$ ]] || usage "$1 ${2-}: give a number"
    if [[ $1 == --processes ]]; then processes=$2; else restarts=$2; fi
    shift
    ;;
  *) words+=("$1") ;;
  esac
  shift
done
set -- "${words[@]}"
((processes > 0)) || usage "--processes $processes: give 1 or more"
((gpus == 0 || processes <= gpus)) ||
  usage "--processes $processes: nvidia-smi and CUDA_VISIBLE_DEVICES show $gpus; give fewer"
[[ " $*" == *" --workdir"* ]] || usage "give --workdir DIR, where a restart goes on"

python=${PYTHON:-python3}
reason=$("$python" -c 'import cellrec_jax' 2>&1) ||
  usage "$python: ${reason##*$'\n'}; PYTHON= names the interpreter that has cellrec_jax"
declare -A ids # pid of a process that runs -> its number
stopping=""    # the signal that asked for the end

forward() {
  stopping=$1
  if ((${#ids[@]})); then kill -s "$1" "${!ids[@]}" 2>/dev/null; fi
}
trap 'forward INT' INT
trap 'forward TERM' TERM HUP

start() {
  local port id
  port=$("$python" -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])') ||
    usage "$python finds no free port on 127.0.0.1"
  for ((id = 0; id < processes; id++)); do
    (
      if ((processes > 1)); then
        export JAX_COORDINATOR_ADDRESS=127.0.0.1:$port
        export JAX_NUM_PROCESSES=$processes JAX_PROCESS_ID=$id
        if ((gpus)); then export JAX_LOCAL_DEVICE_IDS=$id; fi
      fi
      exec "$python" -m cellrec_jax.main "$@" </dev/null 3>&-
    ) &
    ids[$!]=$id
  done
  # A signal may have come before there was a process to tell.
  if [[ $stopping ]]; then forward "$stopping"; fi
}

# Out of reach of Ctrl-C, and ended early by a signal to this script.
pause() {
  sleep "$1" &
  wait $!
}

# Others of one that died wait for it: they are told to end, then made to.
stop_others() {
  local pid tenth
  ((${#ids[@]})) || return
  kill -s TERM "${!ids[@]}" 2>/dev/null
  for ((tenth = 0; tenth < 10 * ${GRACE_S:-10}; tenth++)); do
    kill -0 "${!ids[@]}" 2>/dev/null || break
    pause 0.1
  done
  for pid in "${!ids[@]}"; do kill -s KILL -- "-$pid" 2>/dev/null; done
}

# Waits for all; `code` is 0, or that of the first which did not end well, but 2 of any:
# one may find alone that the usage is wrong, of which the others die. Asks each in
# turn: `wait -n` passes over those that ended while the shell did something else. To
# be called without stderr, where bash tells of jobs that were killed.
finish() {
  local pid
  code=0
  while ((${#ids[@]})); do
    for pid in "${!ids[@]}"; do
      if ! kill -0 "$pid" 2>/dev/null; then ended "$pid"; fi
    done
    if ((${#ids[@]})); then pause 0.2; fi
  done
}

ended() {
  local pid=$1 own id=${ids[$1]}
  wait "$pid"
  own=$?
  unset "ids[$pid]"
  if ((own == 2 || (own && !code))); then code=$own; fi
  case $own in 0 | 130 | 143) return ;; esac
  say "process $id of $processes ended with $own$(signal "$own")"
  kill -s KILL -- "-$pid" 2>/dev/null # what it had started
  if [[ -z $stopping ]] && ((own == code)); then stop_others; fi
}

signal() { if (($1 > 128)); then echo " (signal $(kill -l "$1"))"; fi; }

for ((attempt = 0; ; attempt++)); do
  begun=$SECONDS
  start "$@"
  finish 2>/dev/null
  case $code in 0 | 2 | 130 | 143) exit "$code" ;; esac
  [[ $stopping ]] && exit "$code"
  if ((code == 1 && SECONDS - begun < 60)); then
    say "starts nothing again, as it ended at once; mend what the error above says"
    exit "$code"
  fi
  if ((attempt >= restarts)); then
    say "gives up after $restarts restarts; repeat the command to go on"
    exit "$code"
  fi
  say "starts all again from what is saved ($((attempt + 1)) of $restarts)"
done
