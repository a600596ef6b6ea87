//! The `wayleave` program: a runtime around [`wayleave::cli`].

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

/// What may still run on another thread (a read of a terminal, a write to a pipe) is not waited for longer.
const SHUTDOWN_DEADLINE: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
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
