//! One line on a terminal's standard error while a query takes long: rows per agency and time.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use tokio::time::sleep_until;

use super::table::width;

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
    pub async fn watch<F: Future>(&mut self, rows: impl Fn() -> Vec<(String, u64)>, future: F) -> F::Output {
        let mut future = std::pin::pin!(future);
        loop {
            match self.visibility {
                Visibility::Hidden => return future.await,
                Visibility::Shown => tokio::select! {
                    biased;
                    output = &mut future => return output,
                    () = sleep_until(self.next.into()) => self.draw(&rows()),
                },
            }
        }
    }

    pub fn erase(&mut self) {
        if std::mem::take(&mut self.drawn) {
            let _ = write!(io::stderr(), "{ERASE}");
        }
    }

    fn draw(&mut self, rows: &[(String, u64)]) {
        let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).unwrap_or(80);
        let line = line(self.started.elapsed(), rows, columns);
        let mut stderr = io::stderr();
        let _ = write!(stderr, "{ERASE}{line}").and_then(|()| stderr.flush());
        self.drawn = true;
        self.next = Instant::now() + EVERY;
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        self.erase();
    }
}

/// The text of the line, short enough not to wrap: a wrapped line cannot be erased.
fn line(elapsed: Duration, rows: &[(String, u64)], columns: usize) -> String {
    let tenths = elapsed.as_millis() / 100;
    let mut line = format!("{}.{} s", tenths / 10, tenths % 10);
    for (position, (agency, rows)) in rows.iter().enumerate() {
        let part = format!("{}{agency} {}", if position == 0 { "  " } else { " · " }, grouped(*rows));
        if width(&line) + width(&part) + 2 >= columns {
            line.push_str(" …");
            break;
        }
        line.push_str(&part);
    }
    line
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
    fn the_line_tells_time_and_rows_by_agency() {
        let rows = [("health".to_owned(), 12_345), ("social".to_owned(), 7)];
        assert_eq!(line(Duration::from_millis(1_250), &rows, 80), "1.2 s  health 12,345 · social 7");
    }

    #[test]
    fn the_line_never_wraps() {
        let rows: Vec<_> = (0..50).map(|n| (format!("agency-{n}"), 1_000_000)).collect();
        for columns in 20..120 {
            assert!(width(&line(Duration::from_secs(3), &rows, columns)) < columns);
        }
    }

    #[test]
    fn digits_are_grouped() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
