#!/bin/bash
# SPDX-License-Identifier: MIT
# regatta submit: an experiment as a Slurm job array gives what one process gives, also when a task
# of the array is cancelled in mid-run. On a cluster of one machine that is started here, with its
# own keys and ports; what is submitted is looked at on every machine.
set -eu
program=${RG_PROGRAM:?path of the regatta program}
source=$(cd "${RG_SOURCE_DIR:-.}" && pwd)
folder=$(mktemp -d)
daemons=()
# shellcheck disable=SC2317 # called by the trap
leave() {
    if [[ ${#daemons[@]} -gt 0 ]]; then
        scancel --full --user="$(id -un)" 2>/dev/null || true
        kill "${daemons[@]}" 2>/dev/null || true
        wait
    fi
    [[ ! -s $folder/munge/pid ]] || kill "$(cat "$folder/munge/pid")" 2>/dev/null || true
    rm -rf "$folder"
}
trap leave EXIT
cd "$folder"

fail() {
    echo "FAIL: $*"
    exit 1
}

submit=("$program" submit "$source/experiments/bandit/head-to-head.cfg" -s 'seeds=[1,2]' -s budget.steps=300)

# ---- without a cluster ----
"${submit[@]}" -n --array-size 3 -t 2 -r "it's.db" -- --mem=1G >script
grep -qx '#SBATCH --array=1-3' script || fail "no array of 3: $(cat script)"
[[ $(grep -cx '#SBATCH --cpus-per-task=2' script) -eq 2 ]] || fail "not 2 processors: $(cat script)"
[[ $(grep -c "^exec .* run .* -s 'seeds=\[1,2\]' .* -r 'it'.''s.db' -t 2" script) -eq 2 ]] || fail "$(cat script)"
grep -qE -- '--share "\$SLURM_ARRAY_TASK_ID/3"$' script || fail "no shares: $(cat script)"
! grep -q -- --kernels script || fail "kernels that nobody named: $(cat script)"
REGATTA_KERNELS=generic "${submit[@]}" -n -r x.db | grep -c "^exec '[^']*' --kernels=generic run " >count
[[ $(cat count) -eq 2 ]] || fail "the kernels are not passed on: $(cat count)"
rm count
[[ $(ls) == script ]] || fail "a dry run leaves something: $(ls)"
mkdir tools
cat >tools/sbatch <<'END'
#!/bin/sh
printf '%s\n' "$*" >>sbatch.log
echo 17
END
chmod +x tools/sbatch
PATH=$folder/tools:$PATH "${submit[@]}" -r played.db -- --mem=1G --qos=x >out
printf '%s\n' "--parsable --mem=1G --qos=x played/submit-array.sh" \
    "--parsable --dependency=afterany:17 --mem=1G --qos=x played/submit-gather.sh" | diff - sbatch.log
grep -qx '16 trials in 16 tasks: job 17, then job 17 to merge them' out || fail "$(cat out)"
printf '#!/bin/sh\nexit 1\n' >tools/sbatch
status=0
PATH=$folder/tools:$PATH "${submit[@]}" -r played.db 2>told || status=$?
[[ $status -eq 1 ]] && grep -q '^regatta: sbatch failed' told || fail "sbatch that fails: $status: $(cat told)"
status=0
"${submit[@]}" sideways 2>told || status=$?
[[ $status -eq 2 ]] && grep -q 'sideways is one argument too many' told || fail "$status: $(cat told)"

# Shares, one after another here, are the whole.
run=("$program" run "${submit[@]:2}" -q -t 1)
"${run[@]}" -r whole.db
(cd whole && sha256sum -- *.safetensors) >whole.sum
"$source/tests/results-contents.py" whole.db >whole.contents
same() { # NAME
    (cd "$1" && sha256sum -- *.safetensors) >"$1.sum"
    diff whole.sum "$1.sum" || fail "$1: other weights"
    "$source/tests/results-contents.py" "$1.db" >"$1.contents"
    cmp whole.contents "$1.contents" || fail "$1: other results"
    [[ -z $(find "$1" -name 'part-*') ]] || fail "$1: parts are left: $(ls "$1")"
}
for share in 3/3 1/3 2/3; do
    "${run[@]}" -r shares.db --share $share
done
"${run[@]}" -r shares.db
same shares
for share in 0/3 4/3 1 1/3x; do
    status=0
    "${run[@]}" -r shares.db --share $share 2>told || status=$?
    [[ $status -eq 2 ]] && grep -q 'expected K/N' told || fail "--share $share: $status: $(cat told)"
done
# Of what is finished nothing is run again; while a share is at work, nobody gathers.
"${run[@]}" -r shares.db --share 1/2
same_trials=$(python3 -c '
import sqlite3
print(sqlite3.connect("shares/part-1.db").execute("SELECT count(*) FROM trials").fetchone()[0])')
[[ $same_trials -eq 0 ]] || fail "a share ran $same_trials finished trials again"
"${run[@]}" -s budget.steps=1000000 -r busy.db --share 1/1 2>stopped &
busy=$!
until [[ -s busy/part-1.db ]]; do
    sleep 0.01
done
status=0
"${run[@]}" -r busy.db 2>told || status=$?
[[ $status -eq 1 ]] && grep -q '^regatta: busy.db: is being written by' told || fail "busy: $status: $(cat told)"
kill $busy
! wait $busy 2>/dev/null || fail "a share that is told to stop says it is done"
echo "shares are the whole; scripts and sbatch's arguments are as asked for"

# ---- a cluster of one machine ----
for tool in slurmctld slurmd munged sbatch scancel sinfo squeue; do
    if ! PATH=$PATH:/usr/sbin command -v $tool >/dev/null; then
        echo "SKIP: the cluster: there is no $tool"
        exit 0
    fi
done
if [[ $EUID -ne 0 ]]; then
    echo "SKIP: the cluster: slurmd starts jobs as root only"
    exit 0
fi
PATH=$PATH:/usr/sbin
chmod 755 .
mkdir state spool munge
chmod 711 munge
head -c 1024 /dev/urandom >munge/key
chmod 400 munge/key
munged --key-file="$folder/munge/key" --socket="$folder/munge/socket" --pid-file="$folder/munge/pid" \
    --log-file="$folder/munge/log" --seed-file="$folder/munge/seed"
read -r port other < <(python3 -c '
import socket
both = [socket.socket(), socket.socket()]
for one in both:
    one.bind(("127.0.0.1", 0))
print(*(one.getsockname()[1] for one in both))')
host=$(hostname -s)
cat >slurm.conf <<END
ClusterName=regatta
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$other
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SelectType=select/cons_tres
SlurmctldTimeout=600
SlurmdTimeout=600
ReturnToService=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=all Nodes=$host Default=YES State=UP OverSubscribe=FORCE:4
END
export SLURM_CONF=$folder/slurm.conf
slurmctld -D >slurmctld.out 2>&1 &
daemons+=($!)
slurmd -D >slurmd.out 2>&1 &
daemons+=($!)
for _ in {1..600}; do
    ! sinfo -h -o %T 2>/dev/null | grep -q idle || break
    kill -0 "${daemons[@]}" 2>/dev/null || break
    sleep 0.1
done
if ! sinfo -h -o %T 2>/dev/null | grep -q idle; then
    echo "SKIP: the cluster does not start here: $(tail -n 3 slurmctld.log slurmd.log)"
    exit 0
fi

finish() { # until no job is left
    for _ in {1..3000}; do
        [[ -n $(squeue -h 2>/dev/null || echo asked in vain) ]] || return 0
        sleep 0.2
    done
    fail "jobs do not end: $(squeue) $(tail -n 5 slurmctld.log slurmd.log)"
}

"${submit[@]}" -r array.db --array-size 2 >out
finish
same array
[[ $(find array -name 'slurm-*.log' | wc -l) -eq 3 ]] || fail "not 3 logs: $(ls array)"
echo "$(cat out): same weights, same store"

# One task is cancelled in mid-run; the last job does what it has left.
"${submit[@]}" -r cancelled.db --array-size 2 >out
array=$(sed -n 's/.*: job \([0-9]*\),.*/\1/p' out)
until [[ -s cancelled/part-1.db || -z $(squeue -h -j "$array" 2>/dev/null) ]]; do
    sleep 0.02
done
scancel "${array}_1"
finish
same cancelled
echo "a task was cancelled: same weights, same store"
