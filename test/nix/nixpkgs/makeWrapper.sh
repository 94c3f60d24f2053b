# makeWrapper of the stand-in: --prefix and --suffix, for variables that are lists.
makeWrapper() {
  local program=$1 wrapper=$2
  shift 2
  {
    echo '#! /bin/bash -e'
    while [ $# -gt 0 ]; do
      case $1 in
        --prefix) echo "export $2=\"$4\${$2:+$3\$$2}\"" ;;
        --suffix) echo "export $2=\"\${$2:+\$$2$3}$4\"" ;;
        *) echo "makeWrapper of the stand-in does not know $1" >&2 && return 1 ;;
      esac
      shift 4
    done
    echo "exec \"$program\" \"\$@\""
  } > "$wrapper"
  chmod +x "$wrapper"
}
