//! The connector against a real server.

mod reading;
