//! Transactions that clients begin out of habit: nothing is written, so that only their states are kept.
//!
//! Source: PostgreSQL documentation, chapters "Message Flow" and "SAVEPOINT".

use pgwire::messages::response::TransactionStatus;

use super::wire::Fault;

/// Savepoints that one transaction may set.
const MOST_SAVEPOINTS: usize = 1_000;

/// A connection's transaction, if there is one.
#[derive(Clone, Debug)]
pub(super) struct Transaction {
    pub status: TransactionStatus,
    savepoints: Vec<String>,
}

impl Default for Transaction {
    fn default() -> Self {
        Self { status: TransactionStatus::Idle, savepoints: Vec::new() }
    }
}

impl Transaction {
    pub fn is_idle(&self) -> bool {
        self.status == TransactionStatus::Idle
    }

    pub fn begin(&mut self) {
        // One that has begun goes on, as in PostgreSQL.
        if self.is_idle() {
            self.status = TransactionStatus::Transaction;
        }
    }

    /// What has been written is nothing; returns by which tag a transaction ends that has failed.
    pub fn end(&mut self, tag: &'static str) -> &'static str {
        let failed = self.status == TransactionStatus::Error;
        *self = Self::default();
        if failed { "ROLLBACK" } else { tag }
    }

    pub fn fail(&mut self) {
        if self.status == TransactionStatus::Transaction {
            self.status = TransactionStatus::Error;
        }
    }

    /// # Errors
    /// There is no transaction.
    pub fn check_begun(&self, what: &str) -> Result<(), Fault> {
        if self.is_idle() {
            return Err(Fault::error("25P01", format!("{what} is for transactions")).hint("write BEGIN first"));
        }
        Ok(())
    }

    /// # Errors
    /// There is no transaction, or too many savepoints in it.
    pub fn set_savepoint(&mut self, name: &str) -> Result<(), Fault> {
        self.check_begun("SAVEPOINT")?;
        if self.savepoints.len() >= MOST_SAVEPOINTS {
            return Err(Fault::error("53400", format!("{MOST_SAVEPOINTS} savepoints are the most")));
        }
        self.savepoints.push(name.to_owned());
        Ok(())
    }

    /// # Errors
    /// There is no such savepoint.
    pub fn release_savepoint(&mut self, name: &str) -> Result<(), Fault> {
        let at = self.savepoint("RELEASE SAVEPOINT", name)?;
        self.savepoints.truncate(at);
        Ok(())
    }

    /// # Errors
    /// There is no such savepoint.
    pub fn roll_back_to(&mut self, name: &str) -> Result<(), Fault> {
        let at = self.savepoint("ROLLBACK TO SAVEPOINT", name)?;
        self.savepoints.truncate(at + 1);
        self.status = TransactionStatus::Transaction;
        Ok(())
    }

    fn savepoint(&self, what: &str, name: &str) -> Result<usize, Fault> {
        self.check_begun(what)?;
        let at = self.savepoints.iter().rposition(|known| known == name);
        at.ok_or_else(|| Fault::error("3B001", format!("there is no savepoint `{name}`")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_that_failed_goes_on_from_a_savepoint_or_ends_by_rollback() {
        let mut transaction = Transaction::default();
        assert!(transaction.set_savepoint("a").is_err());
        transaction.fail();
        assert!(transaction.is_idle());
        transaction.begin();
        for name in ["a", "b", "a"] {
            transaction.set_savepoint(name).unwrap();
        }
        transaction.fail();
        assert_eq!(transaction.status, TransactionStatus::Error);
        transaction.roll_back_to("b").unwrap();
        assert_eq!(transaction.status, TransactionStatus::Transaction);
        transaction.release_savepoint("a").unwrap();
        assert!(transaction.roll_back_to("b").is_err());
        transaction.fail();
        assert_eq!(transaction.end("COMMIT"), "ROLLBACK");
        transaction.begin();
        assert_eq!(transaction.end("COMMIT"), "COMMIT");
    }
}
