#!/usr/bin/env bash
# Makes available to the tests what npm does not bring: redis-server (7 or newer), Chromium, and PHP with WordPress and
# MariaDB.
#
# Uses what WEFT_TEST_REDIS_URL, WEFT_TEST_CHROMIUM and WEFT_TEST_WORDPRESS name, else what is installed or runs, else installs it: with
# apt-get as root on Debian and its kin, with brew on macOS. Where it cannot, says in one line what will not be tested,
# and succeeds all the same.
set -uo pipefail

readonly WAIT_SECONDS=300

bounded() {
  if command -v timeout >/dev/null; then timeout "$WAIT_SECONDS" "$@"; else "$@"; fi
}

# install_with_apt <package>…
install_with_apt() {
  local options=(-qq -o DPkg::Options::=--force-unsafe-io -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 -o Acquire::Retries=1)
  export DEBIAN_FRONTEND=noninteractive
  # RUNLEVEL keeps a package from starting a service that nobody asked for.
  local install=(env RUNLEVEL=1 apt-get "${options[@]}" install -y --no-install-recommends "$@")
  bounded "${install[@]}" >/dev/null 2>&1 && return 0
  bounded apt-get "${options[@]}" update >/dev/null 2>&1 && bounded "${install[@]}" >/dev/null 2>&1
}

# install <Debian packages, with spaces> <brew arguments…>: succeeds if they were installed, else says why not.
install() {
  local packages
  read -ra packages <<<"$1"
  shift
  if [[ "$(uname -s)" == Darwin ]]; then
    command -v brew >/dev/null || { echo "there is no brew to install it"; return 1; }
    echo "Installing for the tests: brew install $*" >&2
    bounded brew install --quiet "$@" >/dev/null 2>&1 || { echo "brew could not install it"; return 1; }
  elif command -v apt-get >/dev/null; then
    [[ "$(id -u)" == 0 ]] || { echo "install it with: sudo apt-get install ${packages[*]}"; return 1; }
    echo "Installing for the tests: apt-get install ${packages[*]}" >&2
    install_with_apt "${packages[@]}" || { echo "apt-get could not install it"; return 1; }
  else
    echo "install it and put it on the PATH"
    return 1
  fi
}

# --- Redis ------------------------------------------------------------------------------------------------------------

# The version of the server that is installed, as a number; 0 if none is.
redis_major() {
  local version
  version="$(redis-server --version 2>/dev/null | sed -n 's/.*v=\([0-9]*\).*/\1/p')"
  echo "${version:-0}"
}

redis_answers() {
  (exec 3<>/dev/tcp/127.0.0.1/6379 && printf 'PING\r\n' >&3 && IFS= read -r -t 2 reply <&3 && [[ "$reply" == +PONG* ]]) 2>/dev/null
}

set_up_redis() {
  [[ -n "${WEFT_TEST_REDIS_URL:-}" ]] && return
  [[ "$(redis_major)" -ge 7 ]] && return
  redis_answers && return
  local why="it is older than version 7"
  if [[ "$(redis_major)" == 0 ]]; then
    why="$(install redis-server redis)" && why="what was installed is older than version 7"
  fi
  [[ "$(redis_major)" -ge 7 ]] || echo "Skipped for want of redis-server 7 (online store, connection): $why"
}

# --- curl and openssl, which the documentation shows --------------------------------------------------------------------

set_up_curl() {
  command -v curl >/dev/null && command -v openssl >/dev/null && return
  local why
  why="$(install "curl openssl" curl openssl)" || echo "Skipped for want of curl or openssl (a delivery as documented): $why"
}

# --- Chromium ---------------------------------------------------------------------------------------------------------

chromium_is_there() {
  [[ -n "${WEFT_TEST_CHROMIUM:-}" || -x /usr/bin/chromium || -x /usr/bin/chromium-browser || -x /usr/bin/google-chrome ||
    -d /Applications/Chromium.app || -d "/Applications/Google Chrome.app" ]]
}

set_up_chromium() {
  chromium_is_there && return
  local why
  why="$(install chromium --cask chromium)" || echo "Skipped for want of Chromium (clients in a browser): $why"
}

# --- WordPress ----------------------------------------------------------------------------------------------------------

# The core of WordPress, of any version that the plugin works with; servers run from the tests, none is started here.
# php-cgi and micro-httpd, named first, are what Debian's wordpress takes in place of Apache. 25 MB to load, 210 MB on disk.
readonly WORDPRESS_PACKAGES="php-cgi micro-httpd php php-cli php-curl php-mysql mariadb-server-core wordpress"

wordpress_is_there() {
  [[ -f "${WEFT_TEST_WORDPRESS:-/usr/share/wordpress}/wp-load.php" ]] && command -v php mariadbd >/dev/null
}

set_up_wordpress() {
  wordpress_is_there && return
  local why
  if [[ "$(uname -s)" == Darwin ]]; then
    command -v php >/dev/null || why="$(install "" php)" || echo "Skipped for want of PHP (the WordPress plugin): $why"
    echo "Skipped for want of WordPress (the WordPress plugin as a whole): there is no package of it for macOS"
    return
  fi
  why="$(install "$WORDPRESS_PACKAGES" php)" || echo "Skipped for want of WordPress (the WordPress plugin): $why"
}

# --- Next.js ------------------------------------------------------------------------------------------------------------

# What the example depends on, from the registry of npm alone: 35 MB to load, 350 MB on disk.
readonly NEXTJS_FOLDER="$(dirname "${BASH_SOURCE[0]}")/../integrations/nextjs"

set_up_nextjs() {
  local installed="$NEXTJS_FOLDER/node_modules/.package-lock.json"
  [[ -f "$installed" && ! "$NEXTJS_FOLDER/package-lock.json" -nt "$installed" ]] && return
  echo "Installing for the tests: npm ci in integrations/nextjs" >&2
  (cd "$NEXTJS_FOLDER" && bounded npm ci --no-audit --no-fund >/dev/null 2>&1) && return
  rm -rf "$NEXTJS_FOLDER/node_modules"
  echo "Skipped for want of Next.js (its example): npm could not install it"
}

set_up_redis
set_up_curl
set_up_chromium
set_up_wordpress
set_up_nextjs
exit 0
