//! One line on a terminal's standard error while a query takes long: time, and rows of the answer.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use tokio::time::sleep_until;

const FIRST_AFTER: Duration = Duration::from_millis(500);
const EVERY: Duration = Duration::from_millis(200);
const ERASE: &str = "\r\u{1b}[2K";

/// Whether anything is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    Shown,
    Hidden,
}

impl Visibility {
    /// Shown where a person may be watching.
    pub fn of_standard_error() -> Self {
        if io::stderr().is_terminal() { Self::Shown } else { Self::Hidden }
    }
}

/// The line; erased before anything else is written and when it is dropped.
#[derive(Debug)]
pub struct ProgressLine {
    visibility: Visibility,
    started: Instant,
    next: Instant,
    drawn: bool,
}

impl ProgressLine {
    pub fn new(visibility: Visibility) -> Self {
        let started = Instant::now();
        Self { visibility, started, next: started + FIRST_AFTER, drawn: false }
    }

    /// Waits for a future and keeps the line up to date meanwhile.
    pub async fn watch<F: Future>(&mut self, rows: impl Fn() -> u64, future: F) -> F::Output {
        let mut future = std::pin::pin!(future);
        loop {
            match self.visibility {
                Visibility::Hidden => return future.await,
                Visibility::Shown => tokio::select! {
                    biased;
                    output = &mut future => return output,
                    () = sleep_until(self.next.into()) => self.draw(rows()),
                },
            }
        }
    }

    pub fn erase(&mut self) {
        if std::mem::take(&mut self.drawn) {
            let _ = write!(io::stderr(), "{ERASE}");
        }
    }

    fn draw(&mut self, rows: u64) {
        let mut stderr = io::stderr();
        let _ = write!(stderr, "{ERASE}{}", line(self.started.elapsed(), rows)).and_then(|()| stderr.flush());
        self.drawn = true;
        self.next = Instant::now() + EVERY;
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        self.erase();
    }
}

/// The text of the line, too short to wrap: a wrapped line cannot be erased.
fn line(elapsed: Duration, rows: u64) -> String {
    let tenths = elapsed.as_millis() / 100;
    let rows = match rows {
        0 => String::new(),
        1 => "  1 row".to_owned(),
        rows => format!("  {} rows", grouped(rows)),
    };
    format!("{}.{} s{rows}", tenths / 10, tenths % 10)
}

/// Digits in groups of three: `12,345`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_time_and_rows_of_the_answer() {
        let after = Duration::from_millis(1_250);
        assert_eq!([0, 1, 12_345].map(|rows| line(after, rows)), ["1.2 s", "1.2 s  1 row", "1.2 s  12,345 rows"]);
    }

    #[test]
    fn digits_are_grouped() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
