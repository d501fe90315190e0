# Everyday commands; `just` lists them. CI runs .ci/run, which includes all of these.

_list:
    @{{ just_executable() }} --list

# Run every test, or those whose name contains FILTER.
test *FILTER:
    tests/run {{ FILTER }}

# Run the quick tests.
quick *FILTER:
    tests/run --quick {{ FILTER }}

# Check formatting, clippy and documentation, as CI does.
lint:
    cargo fmt --all --check && cargo clippy --workspace --all-targets --locked -- -D warnings && RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

# Run every fuzz target, or those named, for SECONDS each; needs cargo-fuzz.
fuzz SECONDS='60' *TARGETS='':
    tests/fuzz/run {{ SECONDS }} {{ TARGETS }}

# Run the demo: the agent watches a registry while one thing after another breaks.
demo *OPTIONS:
    cargo demo {{ OPTIONS }}

# Take the README's pictures again; needs pngquant. Look at them before you commit.
pictures:
    tests/run 'a drift in the fault lab'
    for name in status waterfall; do pngquant --force --quality 60-90 --output tests/page/pictures/$name.png ${CARGO_TARGET_DIR:-target}/tmp/page/$name.png; done

# Build the binary of the container image; needs cargo-auditable.
static:
    cargo auditable build --config "$PWD/.cargo/static.toml" --release --locked -p regprobe

# Build that binary here and in another folder, and compare both.
reproducible:
    tests/reproducible

# Run everything that CI runs.
ci:
    .ci/run
