#!/usr/bin/env bash
# Makes redis-server (7 or newer) available to the tests where it can: PostgreSQL comes from npm.
#
# Uses what WEFT_TEST_REDIS_URL names, else what is installed or runs, else installs it: with apt-get as root on Debian
# and its kin, with brew on macOS. Where it cannot, says in one line what will not be tested, and succeeds all the same.
set -uo pipefail

readonly WAIT_SECONDS=180

skip() {
  echo "The Redis suites (online store, connection) will be skipped: $1"
  exit 0
}

# The version of the server that is installed, as a number; 0 if none is.
installed_major() {
  local version
  version="$(redis-server --version 2>/dev/null | sed -n 's/.*v=\([0-9]*\).*/\1/p')"
  echo "${version:-0}"
}

answers_ping() {
  (exec 3<>/dev/tcp/127.0.0.1/6379 && printf 'PING\r\n' >&3 && IFS= read -r -t 2 reply <&3 && [[ "$reply" == +PONG* ]]) 2>/dev/null
}

bounded() {
  if command -v timeout >/dev/null; then timeout "$WAIT_SECONDS" "$@"; else "$@"; fi
}

install_with_apt() {
  local options=(-qq -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 -o Acquire::Retries=1)
  export DEBIAN_FRONTEND=noninteractive
  # RUNLEVEL keeps the package from starting a service that nobody asked for.
  local install=(env RUNLEVEL=1 apt-get "${options[@]}" install -y --no-install-recommends redis-server)
  bounded "${install[@]}" >/dev/null 2>&1 && return 0
  bounded apt-get "${options[@]}" update >/dev/null 2>&1 && bounded "${install[@]}" >/dev/null 2>&1
}

[[ -n "${WEFT_TEST_REDIS_URL:-}" ]] && exit 0
[[ "$(installed_major)" -ge 7 ]] && exit 0
answers_ping && exit 0
[[ "$(installed_major)" -gt 0 ]] && skip "redis-server here is older than version 7"

if [[ "$(uname -s)" == Darwin ]]; then
  command -v brew >/dev/null || skip "there is no redis-server, and no brew to install it"
  echo "Installing redis for the tests (brew install redis)"
  bounded brew install --quiet redis >/dev/null 2>&1 || skip "brew could not install redis"
elif command -v apt-get >/dev/null; then
  [[ "$(id -u)" == 0 ]] || skip "there is no redis-server; install it with: sudo apt-get install redis-server"
  echo "Installing redis-server for the tests (apt-get install redis-server)"
  install_with_apt || skip "apt-get could not install redis-server"
else
  skip "there is no redis-server on the PATH; install version 7 or newer"
fi

[[ "$(installed_major)" -ge 7 ]] || skip "the redis-server that was installed is older than version 7"
exit 0
