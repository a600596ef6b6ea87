//! Who logs in: local users, and what they prove.
//!
//! In: `users.toml`, and what a client says of a password that it never sends. Out: a [`User`], whose organisation, role and
//! purpose a session then has. What a user may see is policy's to say.
//!
//! INVARIANT: no password is ever stored, sent or logged. A login proves nothing beyond the file as it is now: whoever has
//! been removed from it, or has another password, asks nothing more.

mod scram;
mod users;

pub use scram::{Exchange, ScramError, Verifier};
pub use users::{USERS_FILE, User, Users, UsersInForce};
