#!/bin/sh
# Installed as dist/backy. Picks a Node.js and becomes it: with `exec` the process ID, the signals and the exit code are
# node's own, and plain sh costs 1-2 ms.
case $0 in
  */*) here=${0%/*} ;;
  *) here=. ;;
esac
if [ -L "$0" ]; then
  real=$(readlink -f "$0") && here=${real%/*}
fi

# Which command it is: the first word that is neither an option nor the value of one.
command=
skip=
for word in "$@"; do
  if [ -n "$skip" ]; then
    skip=
    continue
  fi
  case $word in
    -b | -l | -vb | -vl | --directory | --log | --log-level | --completions | --plugin) skip=1 ;;
    -*) ;;
    *)
      command=$word
      break
      ;;
  esac
done

# SIGUSR1 would open Node's debugger, as root to every user of the machine.
flags=--disable-sigusr1

# Node.js opens /dev/null in the place of a closed standard output, and an image that nobody gets would count as
# restored. What is only open for reading fails each write instead.
if ! { true 3>&1; } 2>/dev/null; then
  exec 1</dev/null
fi

# The scheduler runs for months beside others: V8 takes a third of the memory when it may not let garbage lie so long.
[ "$command" = scheduler ] && flags="$flags --max-semi-space-size=4 --heap-growing-percent=40"

# Node forgets that a signal is to be ignored (nohup). The last digit of the mask is odd when SIGHUP is.
while read -r name ignored; do
  [ "$name" = SigIgn: ] || continue
  case $ignored in *[13579bdf]) export BACKY_NO_HANGUP=1 ;; esac
  break
done 2>/dev/null <"/proc/$$/status"

# What `check` says to a monitoring system when it cannot answer: exit codes 1 and 2 would mean something else.
unknown() {
  echo "UNKNOWN: $1"
  exit 3
}

# Becomes the Node.js that it is given, except for `check`: whatever becomes of that one is looked at.
start() {
  node=$1
  shift
  # shellcheck disable=SC2086 -- several words
  [ "$command" = check ] || exec "$node" $flags "$here/start.cjs" "$@"
  guard=
  command -v setpriv >/dev/null && guard="setpriv --pdeathsig TERM"
  # shellcheck disable=SC2086
  answer=$(exec $guard "$node" $flags "$here/start.cjs" "$@")
  code=$?
  case $code-$answer in
    0-* | 1-WARNING:* | 2-CRITICAL:* | 3-UNKNOWN:*) ;;
    *) unknown "backy ended without an answer (code $code); standard error says more" ;;
  esac
  [ -z "$answer" ] || printf '%s\n' "$answer"
  exit "$code"
}

# The Node.js that `npm ci` put beside the project: in its own node_modules, or one level up when backy is a dependency.
for node in "$here"/../node_modules/node-linux-*/bin/node "$here"/../../node-linux-*/bin/node; do
  [ -x "$node" ] && start "$node" "$@"
done

version=$(node --version 2>/dev/null)
major=${version#v}
[ "${major%%.*}" -ge 24 ] 2>/dev/null && start node "$@"
if [ -n "$version" ]; then
  found="the one on PATH is $version"
else
  found="there is none on PATH"
fi
problem="Node.js 24 or newer is needed, but $found: install it, or run \`npm ci\` in backy's folder, which brings its own."
[ "$command" = check ] && unknown "$problem"
echo "backy: $problem" >&2
exit 1
