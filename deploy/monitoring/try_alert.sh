#!/usr/bin/env bash
# Lets one alert of alerts.yml fire and resolve before your eyes: a simulated hub that stops answering while a charger is
# taken out of service, the daemon, and a real Prometheus with the rules of this folder, all on this machine.
#
#   deploy/monitoring/try_alert.sh [DIRECTORY]
#
# Wants `oicp-adapter` (on the PATH, or in .venv) and `prometheus` with `promtool` (Debian's package prometheus; or the
# archive of its releases). Takes four to six minutes, three of which the alert itself waits. Keeps its files in DIRECTORY,
# else in one that is gone afterwards; ends what it started. Exit code 0 only if the alert has fired and resolved.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
project=$(cd "$here/../.." && pwd)
if [ -x "$project/.venv/bin/oicp-adapter" ]; then PATH=$project/.venv/bin:$PATH; fi
for needed in oicp-adapter prometheus promtool; do
    if ! command -v "$needed" >/dev/null; then
        echo "$needed is not on the PATH; see the first lines of $0 for where it comes from" >&2
        exit 69
    fi
done

alert=OicpAdapterStatusesStale
hub_port=${TRIAL_HUB_PORT:-18443} admin_port=${TRIAL_ADMIN_PORT:-18444}
daemon_port=${TRIAL_DAEMON_PORT:-19464} prometheus_port=${TRIAL_PROMETHEUS_PORT:-19090}
# The settings of this trial are its own: a store that the environment names is not to be touched.
for name in ${!OICP_ADAPTER_@}; do unset "$name"; done
case ${1:-} in -*)
    sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "$0"
    exit 64
    ;;
esac
keep=${1:-}
if [ -n "$keep" ]; then
    mkdir -p "$keep"
    work=$(cd "$keep" && pwd)
    if [ -n "$(ls -A "$work")" ]; then
        echo "$work is not empty; name a new directory" >&2
        exit 64
    fi
else
    work=$(mktemp -d)
fi
hub='' daemon='' prometheus=''

finish() {
    for process in $prometheus $daemon $hub; do
        kill -CONT "$process" 2>/dev/null || true
        kill "$process" 2>/dev/null || true
        wait "$process" 2>/dev/null || true
    done
    if [ -z "$keep" ]; then rm -rf "$work"; fi
}
trap finish EXIT
trap 'exit 130' INT TERM

say() { printf '%3d s  %s\n' "$SECONDS" "$*"; }

# alive: succeeds while all that was started runs.
alive() { for process in $hub $daemon $prometheus; do kill -0 "$process" 2>/dev/null || return 1; done; }

# await SECONDS WHAT COMMAND…: waits until the command succeeds.
await() {
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        if [ "$SECONDS" -ge "$end" ] || ! alive; then
            say "gave up waiting until $what; the logs:" >&2
            tail -n 5 "$work"/*.log >&2
            exit 1
        fi
        sleep 0.5
    done
}

# asked QUERY: succeeds when Prometheus has a series for it.
asked() { [ -n "$(promtool query instant "http://127.0.0.1:$prometheus_port" "$1" 2>/dev/null)" ]; }
absent() { promtool query instant "http://127.0.0.1:$prometheus_port" "$1" >/dev/null 2>&1 && ! asked "$1"; }
acknowledged() { oicp-adapter status 'DE*ABC*E1' --json 2>/dev/null | grep -q "\"acknowledgedStatus\": \"$1\""; }

cat >"$work/oicp-adapter.toml" <<SETTINGS
[store]
url = "sqlite:///store.db"
[hub]
url = "https://localhost:$hub_port/api/oicp"
ca_file = "certs/hub-ca.pem"
request_timeout = 5
[[operators]]
id = "DE*ABC"
certificate = "certs/client-DE-ABC.pem"
private_key = "certs/client-DE-ABC.key"
[monitoring]
port = $daemon_port
SETTINGS
cat >"$work/prometheus.yml" <<SETTINGS
global: { scrape_interval: 5s, evaluation_interval: 5s }
rule_files: ["$here/recording-rules.yml", "$here/alerts.yml"]
scrape_configs:
  - job_name: oicp-adapter
    static_configs: [{ targets: ["127.0.0.1:$daemon_port"] }]
SETTINGS
printf 'evse_id,operator_id,status\nDE*ABC*E1,DE*ABC,Available\nDE*ABC*E2,DE*ABC,Charging\n' >"$work/fleet.csv"
cd "$work"
export OICP_ADAPTER_CONFIG=$work/oicp-adapter.toml

say "a simulated hub, a store with two chargers, the daemon and a Prometheus start, in $work"
oicp-adapter hub --dir certs --port "$hub_port" --admin-port "$admin_port" --operator 'DE*ABC' >hub.json 2>hub.log &
hub=$!
await 30 "the hub listens" test -s hub.json
if ! { oicp-adapter db upgrade && oicp-adapter db import fleet.csv; } >db.log 2>&1; then
    cat db.log >&2
    exit 1
fi
oicp-adapter run 2>daemon.log &
daemon=$!
prometheus --config.file=prometheus.yml --storage.tsdb.path=prometheus --web.listen-address="127.0.0.1:$prometheus_port" \
    2>prometheus.log &
prometheus=$!
await 60 "the hub shows DE*ABC*E1 as Available" acknowledged Available
await 60 "Prometheus has scraped the daemon" asked oicp_adapter_build_info
say "all is well: the hub shows DE*ABC*E1 as Available; look at http://127.0.0.1:$prometheus_port/alerts"

kill -STOP "$hub"
oicp-adapter temporary set 'DE*ABC*E1' maintenance --for 4h --reason 'new cable' >/dev/null
say "the hub has stopped answering, and DE*ABC*E1 was set under maintenance: drivers still see it as Available"
await 240 "$alert is pending" asked "ALERTS{alertname=\"$alert\", alertstate=\"pending\"}"
say "$alert is pending: the change has been waiting for more than two minutes"
await 180 "$alert fires" asked "ALERTS{alertname=\"$alert\", alertstate=\"firing\"}"
say "$alert FIRES: somebody is called, and reads docs/runbooks/$alert.md"
promtool query instant "http://127.0.0.1:$prometheus_port" "ALERTS{alertstate=\"firing\"}"
oicp-adapter explain 'DE*ABC*E1'

kill -CONT "$hub"
say "the hub answers again"
await 180 "the hub shows DE*ABC*E1 as OutOfService" acknowledged OutOfService
say "the hub shows DE*ABC*E1 as OutOfService; nobody had to send anything again"
await 120 "$alert is resolved" absent "ALERTS{alertname=\"$alert\"}"
say "$alert is RESOLVED"
