#!/usr/bin/env bash
# Boots this machine's own system in a container by systemd-nspawn, over a layer that takes all changes, and
# installs regprobe there: machine.sh DEB TARBALL. Needs separate mount and process namespaces.
set -euo pipefail

scenario() {
    exec 2>&1
    set -x
    cd /test
    local metrics=http://127.0.0.1:9118/metrics

    # Without a configuration nothing starts, and nothing fails.
    dpkg --install regprobe.deb
    [[ $(systemctl is-enabled regprobe) == enabled ]]
    [[ $(systemctl is-active regprobe || true) == inactive ]]
    systemd-analyze verify --man=no regprobe.service
    # Of 100; what is left is that it has a network.
    systemd-analyze security --threshold=15 --no-pager regprobe.service

    # With one it starts. No nameserver and no registry is here, and the agent finds just that: it is not the
    # service's own sandbox that stops it.
    /usr/bin/regprobe run --config.check --config.file=/usr/share/doc/regprobe/examples/config.yaml
    printf 'registries: [{server: registry.test}]\nnode: {proxy: none}\n' >/etc/regprobe/config.yaml
    systemctl start regprobe
    ready
    curl --silent --show-error --fail --output page "$metrics"
    grep 'regprobe_registry_verdict{.*} 2$' page
    grep 'regprobe_stage_failures_total{.*stage="resolve".*reason="refused".*} [1-9]' page
    if grep 'reason="local".*} [1-9]' page; then return 1; fi
    grep '^process_start_time_seconds [1-9]' page

    # It has no rights.
    pid=$(systemctl show --value --property=MainPID regprobe)
    status=/proc/$pid/status
    grep --perl-regexp '^Uid:\t[1-9]' "$status"
    grep --perl-regexp '^Cap(Prm|Eff|Bnd|Amb):\t0+$' --count "$status" | grep --line-regexp 4
    grep --perl-regexp '^NoNewPrivs:\t1$' "$status"
    grep --perl-regexp '^Seccomp:\t2$' "$status"
    if nsenter --target "$pid" --mount touch /etc/regprobe/written; then return 1; fi

    # A reload takes a good configuration and refuses a bad one.
    printf 'registries: [{server: other.test}]\nnode: {proxy: none}\n' >/etc/regprobe/config.yaml
    systemctl reload regprobe
    until_it_says 'regprobe_registry_verdict{registry="other.test"} 2'
    echo 'nonsense: true' >/etc/regprobe/config.yaml
    systemctl reload regprobe
    until_it_says 'regprobe_config_last_reload_successful 0'

    # Removed, it has stopped, and leaves the configuration, which is the administrator's.
    installed=$(dpkg --listfiles regprobe)
    dpkg --purge regprobe
    [[ $(systemctl is-active regprobe || true) == inactive ]]
    for path in $installed; do
        [[ -d $path ]] || if [[ -e $path ]]; then return 1; fi
    done
    if systemctl cat regprobe; then return 1; fi
    rm /etc/regprobe/config.yaml

    # The tarball, by the words of its README.
    mkdir tarball
    tar --extract --file=regprobe.tar.gz --directory=tarball --strip-components=1
    cd tarball
    commands=$(sed -n 's/^    \(install .*\|systemctl enable .*\)/\1/p' README.md)
    [[ $(wc --lines <<<"$commands") == 4 ]]
    eval "$commands"
    systemd-analyze verify --man=no regprobe.service
    ready
    curl --silent --show-error --fail "$metrics" | grep 'regprobe_registry_verdict{registry="contoso.azurecr.io"}'
    systemctl reload regprobe
    systemctl is-active regprobe
    echo 'the machine did all that it should'
}

ready() {
    curl --silent --show-error --fail --retry 100 --retry-delay 1 --retry-all-errors --retry-max-time 40 \
        http://127.0.0.1:9118/-/ready
}

until_it_says() {
    for _ in {1..100}; do
        if curl --silent --fail http://127.0.0.1:9118/metrics | grep --fixed-strings "$1"; then return; fi
        sleep 0.2
    done
    return 1
}

if [[ ${1:-} == scenario ]]; then
    trap 'systemctl status --no-pager --full regprobe || true; journalctl --no-pager --unit=regprobe || true' ERR
    set -E
    scenario
    exit
fi

# The layer is no part of the file system that it lies over.
layer=$(mktemp --directory)
mount --types tmpfs tmpfs "$layer"
mkdir "$layer"/{upper,work,root}
root=$layer/root
mount --types overlay --options "lowerdir=/,upperdir=$layer/upper,workdir=$layer/work" overlay "$root"
mkdir "$root/test"
cp "$1" "$root/test/regprobe.deb"
cp "$2" "$root/test/regprobe.tar.gz"
cp "${BASH_SOURCE[0]}" "$root/test/machine.sh"
# It would keep packages from starting and stopping their services.
rm --force "$root/usr/sbin/policy-rc.d" "$root/etc/resolv.conf"
# Nothing answers there, which the kernel says at once.
echo 'nameserver 127.0.0.9' >"$root/etc/resolv.conf"
cat >"$root/etc/systemd/system/scenario.service" <<'UNIT'
[Unit]
SuccessAction=exit-force
FailureAction=exit-force

[Service]
Type=oneshot
ExecStart=/bin/bash /test/machine.sh scenario
StandardOutput=file:/test/said
UNIT

status=0
systemd-nspawn --quiet --directory="$root" --boot --register=no --keep-unit --private-network --link-journal=no \
    --resolv-conf=off --timezone=off --console=pipe -- systemd.unit=scenario.service >&2 || status=$?
cat "$root/test/said"
# Groups of processes that systemd-nspawn has made and that are empty now.
find /sys/fs/cgroup -depth -type d \( -path '*/payload*' -o -path '*/supervisor*' \) -exec rmdir {} + 2>/dev/null || true
exit "$status"
