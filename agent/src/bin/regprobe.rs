//! The binary `regprobe`.

use std::{alloc::System, process::ExitCode};

use zeroizing_alloc::ZeroAlloc;

/// What is freed is cleared: also the copies of a secret that the HTTP and TLS libraries make.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    regprobe::main(std::env::args_os())
}
