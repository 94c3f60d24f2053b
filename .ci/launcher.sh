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

# The scheduler runs for months beside others: V8 takes a third of the memory when it may not let garbage lie so long.
thrift=
case " $* " in
  *" scheduler "*) thrift="--max-semi-space-size=4 --heap-growing-percent=40" ;;
esac

# The Node.js that `npm ci` put beside the project: in its own node_modules, or one level up when backy is a dependency.
for node in "$here"/../node_modules/node-linux-*/bin/node "$here"/../../node-linux-*/bin/node; do
  if [ -x "$node" ]; then
    # shellcheck disable=SC2086 -- several words, or none
    exec "$node" $thrift "$here/start.cjs" "$@"
  fi
done

version=$(node --version 2>/dev/null)
major=${version#v}
if [ "${major%%.*}" -ge 24 ] 2>/dev/null; then
  # shellcheck disable=SC2086
  exec node $thrift "$here/start.cjs" "$@"
fi
if [ -n "$version" ]; then
  found="the one on PATH is $version"
else
  found="there is none on PATH"
fi
echo "backy: Node.js 24 or newer is needed, but $found: install it, or run \`npm ci\` in backy's folder, which brings its own." >&2
exit 1
