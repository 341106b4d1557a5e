#!/bin/bash
# Both commands of the README in a bare Debian, where nothing is installed but what the README asks for. Finds the
# steps that README and Makefile forget. It tests what is committed.
#
#   tools/bare.sh [SUITE ...]      default: bookworm trixie
#
# Needs root, mmdebstrap and the script bare-debian.sh, in ../shared/recipes or named by EL_BARE_DEBIAN.
# EL_BARE_FOLDER holds the systems (default: /var/tmp/earthloom-bare); EL_BARE_DO chooses: demo, test, or both (default).
set -euo pipefail
cd "$(dirname "$0")/.."

script=${EL_BARE_DEBIAN:-../shared/recipes/bare-debian.sh}
folder=${EL_BARE_FOLDER:-/var/tmp/earthloom-bare}
todo=${EL_BARE_DO:-demo test}
suites=("$@")
[ ${#suites[@]} -gt 0 ] || suites=(bookworm trixie)

[ -f "$script" ] || { echo "make bare needs bare-debian.sh: name it in EL_BARE_DEBIAN (looked for $script)" >&2; exit 1; }
[ "$(id -u)" = 0 ] || { echo "make bare needs root" >&2; exit 1; }
command -v mmdebstrap > /dev/null || {
  echo "make bare needs mmdebstrap: apt-get install --no-install-recommends mmdebstrap" >&2; exit 1; }

export EL_BARE_CACHE=$folder/packages
for suite in "${suites[@]}"; do
  for what in $todo; do
    # The demo as an ordinary user without sudo; the tests as root, for they install a browser.
    case $what in
      demo) user=dev command='python3 tools/try_demo.py' ;;
      test) user=root command='make test' ;;
      *) echo "EL_BARE_DO: demo or test, not $what" >&2; exit 1 ;;
    esac
    echo "== $suite: $what"
    "$script" make "$folder/$suite" "$suite"
    EL_BARE_USER=$user EL_BARE_SHM=256m "$script" run "$folder/$suite" . -- "$command"
  done
done
echo "== all passed: ${suites[*]}"
