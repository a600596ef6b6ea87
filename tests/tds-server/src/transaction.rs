//! Transactions: what T-SQL counts, and when SQLite's own begins.
//!
//! Under READ COMMITTED each statement sees what is committed when it starts, so that SQLite's transaction, which is a
//! snapshot, begins with the first change. Under SNAPSHOT and what is stricter it begins at once.

use crate::batch::Isolation;
use crate::error::SqlError;
use crate::response::Stop;
use crate::rows::sqlite;
use crate::session::{Session, next_transaction};
use crate::token::{self, EnvironmentChange};

impl Session {
    pub(crate) fn begin(&mut self) -> Result<(), Stop> {
        let count = self.with_facts(|facts| facts.transactions);
        if count == 0 {
            self.temporary_before = self.temporary.clone();
            self.transaction = next_transaction(&self.shared);
            if matches!(self.isolation, Isolation::Snapshot | Isolation::Serializable | Isolation::RepeatableRead) {
                self.connection.execute_batch("BEGIN").map_err(sqlite)?;
            }
            self.response.write_pending(token::STATUS_MORE);
            token::environment_change(
                &mut self.response.buffer,
                &EnvironmentChange::BeginTransaction(self.transaction),
            );
        }
        self.set_transactions(count + 1);
        Ok(())
    }

    pub(crate) fn commit(&mut self) -> Result<(), Stop> {
        let count = self.with_facts(|facts| facts.transactions);
        if count == 0 {
            return Err(SqlError::new(
                3902,
                16,
                1,
                "The COMMIT TRANSACTION request has no corresponding BEGIN TRANSACTION.",
            )
            .into());
        }
        if count == 1 {
            if !self.connection.is_autocommit() {
                self.connection.execute_batch("COMMIT").map_err(sqlite)?;
            }
            self.response.write_pending(token::STATUS_MORE);
            token::environment_change(
                &mut self.response.buffer,
                &EnvironmentChange::CommitTransaction(self.transaction),
            );
        }
        self.set_transactions(count - 1);
        Ok(())
    }

    pub(crate) fn rollback(&mut self) -> Result<(), Stop> {
        if self.with_facts(|facts| facts.transactions) == 0 {
            return Err(SqlError::new(
                3903,
                16,
                1,
                "The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION.",
            )
            .into());
        }
        if !self.connection.is_autocommit() {
            self.connection.execute_batch("ROLLBACK").map_err(sqlite)?;
            self.temporary = std::mem::take(&mut self.temporary_before);
        }
        self.response.write_pending(token::STATUS_MORE);
        token::environment_change(&mut self.response.buffer, &EnvironmentChange::RollbackTransaction(self.transaction));
        self.set_transactions(0);
        Ok(())
    }
}
