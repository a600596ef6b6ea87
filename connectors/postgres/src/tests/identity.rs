//! Which server a connector reads, and as whom.

use super::options;

#[test]
fn one_server_is_known_however_its_url_is_written() {
    let identity = |url: &str| options(url).identity().unwrap();
    let first = identity("postgres://reader:secret@db.example:5432/care");
    assert_eq!(first, identity("postgresql://reader:secret@db.example:5432/care"));
    assert_eq!(first, identity("postgres://reader:%73ecret@db.example:5432/care"));
    for other in [
        "postgres://reader:other@db.example:5432/care",
        "postgres://writer:secret@db.example:5432/care",
        "postgres://reader:secret@db.example:5433/care",
        "postgres://reader:secret@db.example:5432/police",
        "postgres://reader:secret@other.example:5432/care",
    ] {
        assert_ne!(first, identity(other));
    }
    assert!(!format!("{first:?}").contains("secret"));
}
