//! Consent passed over in an emergency: nothing is released before the owner is told, and nothing is forgotten after.

use std::path::PathBuf;

use chrono::{Duration, Utc};
use wayleave::alert::alerts_in;
use wayleave::audit::{AuditLog, Emergency, Review, ReviewFinding, emergencies, verify};
use wayleave::error::Error;
use wayleave::session::{BeyondConsent, BrokenGlass, Session};

use crate::harness::{Backend, World};

const SQL: &str = "SELECT count(*) FROM health.main.care_notes";

fn alerts(world: &World) -> Vec<serde_json::Value> {
    let files: Vec<PathBuf> = alerts_in(&world.directory().join("alerts")).unwrap();
    files.iter().map(|file| serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()).collect()
}

async fn emergencies_of(world: &World) -> Vec<Emergency> {
    world.engine.flush_audit().await.unwrap();
    emergencies(&world.audit_directory()).unwrap()
}

fn broken(session: &Session, id: &str, hours_ago: i64) -> Session {
    let glass = BrokenGlass { id: id.to_owned(), at: Utc::now() - Duration::hours(hours_ago) };
    Session { beyond_consent: Some(BeyondConsent::BreakGlass(glass)), ..session.clone() }
}

#[tokio::test]
async fn the_owner_is_told_once_and_the_review_stays_open_until_somebody_closes_it() {
    let world = World::new(Backend::Sqlite).await;
    let session = world.session("breaking_glass");
    for _ in 0..2 {
        assert_eq!(world.rows(&session, SQL).await.unwrap(), [["27"]]);
    }
    let told = alerts(&world);
    let [alert] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(alert["owner"], "dpo@torbay.example");
    assert_eq!(alert["agreement"], "TEST-CARE");
    assert_eq!((&alert["user"], &alert["reason"]), (&"rex".into(), &"unconscious at the emergency department".into()));
    assert!(!alert.to_string().contains("SELECT"), "{alert}");

    let open = emergencies_of(&world).await;
    let [emergency] = open.as_slice() else { panic!("{open:?}") };
    assert_eq!(alert["id"], emergency.id.as_str());
    assert_eq!((emergency.query_ids.len(), &emergency.review), (2, &None));

    let review = Review {
        id: emergency.id.clone(),
        by: "dpo@torbay.example".to_owned(),
        finding: ReviewFinding::Justified,
        note: None,
    };
    let log = AuditLog::open(&world.audit_directory()).unwrap();
    log.review(review.clone()).await.unwrap();
    assert_eq!(emergencies_of(&world).await[0].review.as_ref(), Some(&review));
    // What is asked after a review has not been reviewed.
    world.rows(&session, SQL).await.unwrap();
    assert_eq!(emergencies_of(&world).await[0].review, None);
    assert_eq!(alerts(&world).len(), 1);
    verify(&world.audit_directory()).unwrap();
}

#[tokio::test]
async fn nothing_is_released_where_the_owner_cannot_be_told() {
    let world = World::new(Backend::Sqlite).await;
    std::fs::remove_dir(world.directory().join("alerts")).unwrap();
    let session = world.session("breaking_glass");
    let error = world.rows(&session, SQL).await.unwrap_err();
    assert!(matches!(&error, Error::OwnerNotTold { agreement, .. } if agreement == "TEST-CARE"), "{error:?}");
    assert!(!error.to_string().contains(&world.directory().display().to_string()), "{error}");
    // It is on the record that it was tried, and that nothing came of it.
    assert_eq!(emergencies_of(&world).await.len(), 1);
    let log = std::fs::read_to_string(world.audit_directory().join("audit.jsonl")).unwrap();
    let last: serde_json::Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!(last["body"]["status"], "refused");
    assert_eq!((&last["body"]["error_code"], &last["body"]["rows_returned"]), (&"owner-not-told".into(), &0.into()));
    // Who asks for consent is answered all the same.
    assert_eq!(world.rows(&world.session("reviewer"), SQL).await.unwrap(), [["10"]]);
}

#[tokio::test]
async fn an_emergency_ends_by_itself() {
    let world = World::new(Backend::Sqlite).await;
    let session = world.session("breaking_glass");
    assert_eq!(world.rows(&broken(&session, "e-1", 3), SQL).await.unwrap(), [["27"]]);
    for (hours_ago, why) in [(5, "more than 4 hours ago"), (-1, "has not been broken yet")] {
        let error = world.rows(&broken(&session, "e-2", hours_ago), SQL).await.unwrap_err();
        assert!(matches!(&error, Error::ConsentNotPassedOver { .. }), "{error:?}");
        assert!(error.to_string().contains(why), "{error}");
    }
    let told = alerts(&world);
    assert_eq!(told.len(), 1, "{told:?}");
}

#[tokio::test]
async fn an_override_is_on_the_record_and_alerts_nobody() {
    let world = World::new(Backend::Sqlite).await;
    world.rows(&world.session("overriding"), SQL).await.unwrap();
    assert!(emergencies_of(&world).await.is_empty() && alerts(&world).is_empty());
    let log = std::fs::read_to_string(world.audit_directory().join("audit.jsonl")).unwrap();
    let intent: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    let passed = &intent["body"]["passed_over"][0];
    assert_eq!((&passed["agreement"], &passed["how"]), (&"TEST-CARE".into(), &"override".into()));
    assert_eq!(passed["gateway"], "Mental Health Act 1983, section 117");
}

#[tokio::test]
async fn what_a_plan_would_release_is_told_to_nobody_but_the_asker() {
    let world = World::new(Backend::Sqlite).await;
    let session = world.session("breaking_glass");
    let plan = world.rows(&session, &format!("EXPLAIN {SQL}")).await.unwrap();
    assert!(format!("{plan:?}").contains("the glass is broken"), "{plan:?}");
    assert!(alerts(&world).is_empty(), "nothing was released");
}
