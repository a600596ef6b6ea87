//! Whether the machine's clock can be believed: agreements start and end by it, and consent is in force by it.
//!
//! A clock that was set back would put in force again what has ended. What is known of the time apart from it: the audit log
//! was written before now, and time has gone by since this process began. A clock that is before either refuses every query.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use crate::error::Error;
use crate::policy::Clock;

/// How far a clock may be set back to put it right.
const TOLERANCE: Duration = Duration::from_secs(600);

/// A moment that has passed for certain, and how long ago this process knew it.
#[derive(Clone, Copy, Debug)]
pub(super) struct TrustedTime {
    passed: DateTime<Utc>,
    known: Instant,
}

impl TrustedTime {
    /// What is known at the start: the clock's own time, and that of the log's latest record.
    pub fn new(now: DateTime<Utc>, latest_record: Option<DateTime<Utc>>) -> Self {
        Self { passed: latest_record.map_or(now, |record| record.max(now)), known: Instant::now() }
    }

    /// # Errors
    /// [`Error::ClockBehind`] where the clock is before a moment that has passed. A fixed day needs no clock.
    pub fn check(&self, clock: Clock, now: DateTime<Utc>) -> Result<(), Error> {
        let elapsed = TimeDelta::from_std(self.known.elapsed()).unwrap_or_default();
        let tolerance = TimeDelta::from_std(TOLERANCE).unwrap_or_default();
        let behind = self.passed + elapsed - now;
        match clock {
            Clock::System if behind > tolerance => Err(Error::ClockBehind { minutes: behind.num_minutes() }),
            Clock::System | Clock::Fixed(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_clock_before_what_has_passed_is_not_believed() {
        let noon = at("2026-06-01T12:00:00Z");
        let fresh = TrustedTime::new(noon, None);
        assert!(fresh.check(Clock::System, noon).is_ok());
        assert!(fresh.check(Clock::System, at("2026-06-01T11:55:00Z")).is_ok(), "a clock may be put right");
        assert!(fresh.check(Clock::System, at("2026-06-09T12:00:00Z")).is_ok());
        let yesterday = at("2026-05-31T12:00:00Z");
        assert!(matches!(fresh.check(Clock::System, yesterday), Err(Error::ClockBehind { minutes: 1440 })));
        // The log was written later than the clock says at the start.
        let set_back = TrustedTime::new(yesterday, Some(noon));
        assert!(matches!(set_back.check(Clock::System, yesterday), Err(Error::ClockBehind { .. })));
        assert!(set_back.check(Clock::System, noon).is_ok());
        assert!(TrustedTime::new(noon, Some(yesterday)).check(Clock::System, noon).is_ok());
        let day = Clock::Fixed(noon.date_naive());
        assert!(fresh.check(day, yesterday).is_ok());
    }
}
