//! Tests over unixODBC with Debian's drivers for PostgreSQL and SQLite.

mod contract;
mod faults;
mod sqlite;
