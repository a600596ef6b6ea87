//! The `wayleave` program: a runtime around [`wayleave::cli`].

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

/// What may still run on another thread (a read of a terminal, a write to a pipe) is not waited for longer.
const SHUTDOWN_DEADLINE: Duration = Duration::from_millis(200);

/// Planning descends a level for each operator of a chain; the engine bounds their number, and this holds them all.
const WORKER_STACK_BYTES: usize = 64 << 20;

fn main() -> ExitCode {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(WORKER_STACK_BYTES).build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: the program cannot start\ndetail: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(wayleave::cli::run(std::env::args_os()));
    runtime.shutdown_timeout(SHUTDOWN_DEADLINE);
    code
}
