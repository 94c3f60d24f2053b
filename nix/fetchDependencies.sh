# What npm installs for a kind of processor, in npm's words ($1: x64, arm64), in the current directory, where package.json,
# package-lock.json and .npmrc of the project are. npm fetches for any processor, so each can be checked on any.
set -eu
cpu=$1
node "$(dirname "$0")/buildOnly.mjs"
npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier --no-progress --os=linux --cpu="$cpu" --libc=glibc
# npm leaves optional packages out in silence when the registry does not have them
for native in "@napi-rs/blake-hash-linux-$cpu-gnu" "@koromix/koffi-linux-$cpu" "@rolldown/binding-linux-$cpu-gnu"; do
  if [ ! -d "node_modules/$native" ]; then
    echo "$native was not installed: the registry does not have it" >&2
    exit 1
  fi
done
# its own notes, which differ between versions of npm
rm node_modules/.package-lock.json
