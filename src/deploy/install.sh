#!/bin/sh
# Installs Ayder: picks the binary of this machine, checks its SHA-256, puts it in place.
#
#   sh install.sh                      into ~/.local/bin
#   sh install.sh --prefix /usr/local  into /usr/local/bin
#
# AYDER_BASE_URL: where the files of the release lie. Needs curl or wget, and a tool for SHA-256.
set -eu

# Set by the release to its own place.
DEFAULT_BASE_URL=''

main() {
  prefix=${HOME:-}/.local
  base=${AYDER_BASE_URL:-$DEFAULT_BASE_URL}
  while [ $# -gt 0 ]; do
    case $1 in
      --prefix) [ $# -ge 2 ] || fail '--prefix needs a directory'; prefix=$2; shift 2 ;;
      --prefix=*) prefix=${1#--prefix=}; shift ;;
      --base-url) [ $# -ge 2 ] || fail '--base-url needs a URL'; base=$2; shift 2 ;;
      --base-url=*) base=${1#--base-url=}; shift ;;
      -h | --help) echo 'usage: install.sh [--prefix DIR] [--base-url URL]'; exit 0 ;;
      *) fail "unknown argument: $1" ;;
    esac
  done
  [ -n "$base" ] || fail 'AYDER_BASE_URL says where the files of the release lie'
  [ "$prefix" != /.local ] || fail 'HOME is not set; give --prefix'

  artifact=ayder-$(machine)
  work=$(mktemp -d "${TMPDIR:-/tmp}/ayder-install.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  trap 'exit 1' HUP INT TERM

  fetch "$base/SHA256SUMS" "$work/SHA256SUMS"
  expected=$(awk -v name="$artifact" '$2 == name { print $1 }' "$work/SHA256SUMS")
  [ -n "$expected" ] || fail "this release has no $artifact"
  echo "downloading $base/$artifact"
  fetch "$base/$artifact" "$work/ayder"
  actual=$(sha256 "$work/ayder")
  if [ "$actual" != "$expected" ]; then
    fail "the checksum of $artifact is wrong; nothing was installed
  expected $expected
  got      $actual"
  fi

  mkdir -p "$prefix/bin"
  # Beside its place first: the rename is all or nothing, also over a running binary.
  staged=$prefix/bin/.ayder.$$
  trap 'rm -rf "$work" "$staged"' EXIT
  cp "$work/ayder" "$staged"
  chmod 755 "$staged"
  "$staged" --version >"$work/version" 2>&1 || fail "the binary does not run here: $(cat "$work/version")"
  mv -f "$staged" "$prefix/bin/ayder"
  echo "installed $(cat "$work/version") as $prefix/bin/ayder"
  case :${PATH:-}: in
    *:"$prefix/bin":*) ;;
    *) echo "add $prefix/bin to your PATH" ;;
  esac
}

# The name of this machine as in the names of the artifacts.
machine() {
  case $(uname -s) in
    Linux) os=linux ;;
    Darwin) os=darwin ;;
    *) fail "there is no binary for $(uname -s); on Windows download ayder-windows-x64.exe" ;;
  esac
  case $(uname -m) in
    x86_64 | amd64) arch=x64 ;;
    aarch64 | arm64) arch=arm64 ;;
    *) fail "there is no binary for $(uname -m)" ;;
  esac
  libc=
  if [ "$os" = linux ] && is_musl; then libc=-musl; fi
  echo "$os-$arch$libc"
}

is_musl() {
  ! ldd_says 'glibc|gnu libc' && ldd_says musl
}

ldd_says() {
  { ldd --version 2>&1 || true; } | grep -Eiq "$1"
}

fetch() {
  if command -v curl >/dev/null 2>&1; then
    curl -fsSL --retry 2 -o "$2" "$1" || fail "cannot download $1"
  elif command -v wget >/dev/null 2>&1; then
    wget -q -O "$2" "$1" || fail "cannot download $1"
  else
    fail 'curl or wget is needed'
  fi
}

sha256() {
  if command -v sha256sum >/dev/null 2>&1; then
    sha256sum "$1" | cut -d ' ' -f 1
  elif command -v shasum >/dev/null 2>&1; then
    shasum -a 256 "$1" | cut -d ' ' -f 1
  else
    fail 'sha256sum or shasum is needed'
  fi
}

fail() {
  echo "install.sh: $1" >&2
  exit 1
}

# At the very end, so that a script that was cut off on its way does nothing.
main "$@"
