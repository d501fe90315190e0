# The daily moves; `just` alone lists them. CI runs .ci/run, which is all of these and more.

_list:
    @{{ just_executable() }} --list

# Every test, or those whose name contains FILTER.
test *FILTER:
    tests/run {{ FILTER }}

# The tests that are quick.
quick *FILTER:
    tests/run --quick {{ FILTER }}

# What CI says of the source.
lint:
    cargo fmt --all --check && cargo clippy --workspace --all-targets --locked -- -D warnings && RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

# Every fuzz target, or those named, for SECONDS each; needs cargo-fuzz.
fuzz SECONDS='60' *TARGETS='':
    tests/fuzz/run {{ SECONDS }} {{ TARGETS }}

# The demo: the agent watching a registry as one thing after another breaks.
demo *OPTIONS:
    cargo demo {{ OPTIONS }}

# The README's pictures, as the tests take them; needs pngquant, and your eyes.
pictures:
    tests/run 'a drift in the fault lab'
    for name in status waterfall; do pngquant --force --quality 60-90 --output tests/page/pictures/$name.png ${CARGO_TARGET_DIR:-target}/tmp/page/$name.png; done

# The binary of the container image; needs cargo-auditable.
static:
    cargo auditable build --config "$PWD/.cargo/static.toml" --release --locked -p regprobe

# That binary, built here and in another folder, and compared.
reproducible:
    tests/reproducible

# All that CI does.
ci:
    .ci/run
