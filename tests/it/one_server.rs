//! Two agencies in one server: their tables are joined there only where the shares of both say so.

use std::path::Path;

use crate::harness::{Backend, World, seed_directory, session};

const JOIN: &str = "SELECT c.client_id, t.tenant_id FROM social.main.clients AS c JOIN housing.main.tenants AS t \
                    ON t.nhs_no = c.nhs_number ORDER BY c.client_id, t.tenant_id";
const ANTI: &str = "SELECT c.client_id FROM social.main.clients AS c WHERE NOT EXISTS \
                    (SELECT 1 FROM housing.main.tenants AS t WHERE t.nhs_no = c.nhs_number) ORDER BY c.client_id";
const COUNTED: &str = "SELECT c.client_id, count(*) AS n FROM social.main.clients AS c JOIN housing.main.tenants AS t \
                       ON t.nhs_no = c.nhs_number GROUP BY c.client_id ORDER BY n DESC, c.client_id LIMIT 3";

#[derive(Clone, Copy, PartialEq)]
enum Servers {
    One,
    Two,
}

/// The safeguarding agreement, in which these shares name these agencies; housing in social care's database, or not.
fn edited(allowed: &'static [(&'static str, &'static str)], servers: Servers) -> impl FnOnce(&Path) {
    move |policies| {
        let file = policies.join("agreements/safeguarding.toml");
        let mut text = std::fs::read_to_string(&file).unwrap();
        for (table, with) in allowed {
            let line = format!("table = \"{table}\"\n");
            assert!(text.contains(&line));
            text = text.replace(&line, &format!("{line}join_at_source_with = [\"{with}\"]\n"));
        }
        std::fs::write(file, text).unwrap();
        if servers == Servers::One {
            let file = policies.with_file_name("wayleave.toml");
            let text = std::fs::read_to_string(&file).unwrap();
            let connection = |agency: &str| {
                let rest = text.split(&format!("[agency.{agency}]\n")).nth(1).unwrap();
                rest.lines().take(2).collect::<Vec<_>>().join("\n")
            };
            std::fs::write(file, text.replace(&connection("housing"), &connection("social"))).unwrap();
        }
    }
}

async fn world(backend: Backend, allowed: &'static [(&'static str, &'static str)], servers: Servers) -> World {
    let world = World::with_policies(backend, edited(allowed, servers)).await;
    if servers == Servers::One {
        let housing = std::fs::read_to_string(seed_directory().join("housing.sql")).unwrap();
        world.agency_execute("social", &housing).await;
    }
    world
}

const BOTH: &[(&str, &str)] = &[("social.main.clients", "housing"), ("housing.main.tenants", "social")];

#[tokio::test]
async fn one_statement_answers_where_both_shares_allow_it() {
    for backend in Backend::ALL {
        let (apart, together) = (world(backend, &[], Servers::Two).await, world(backend, BOTH, Servers::One).await);
        let session = session("safeguarding_lead");
        for sql in [JOIN, ANTI, COUNTED] {
            let (expected, _, two) = apart.answer(&session, sql).await.unwrap();
            let (rows, _, one) = together.answer(&session, sql).await.unwrap();
            assert_eq!(rows, expected, "{backend:?}: {sql}");
            assert!(!rows.is_empty());
            assert_eq!((two.len(), one.len()), (2, 1), "{backend:?}: {sql}");
            assert!(one[0].sql.contains("\"clients\"") && one[0].sql.contains("\"tenants\""), "{}", one[0].sql);
        }
    }
}

#[tokio::test]
async fn two_statements_answer_where_one_share_does_not_or_the_servers_are_two() {
    const ONE: &[(&str, &str)] = &[("social.main.clients", "housing")];
    const OTHER: &[(&str, &str)] = &[("housing.main.tenants", "social")];
    const ELSEWHERE: &[(&str, &str)] = &[("social.main.clients", "housing"), ("housing.main.tenants", "police")];
    for backend in Backend::ALL {
        for (allowed, servers) in
            [(ONE, Servers::One), (OTHER, Servers::One), (ELSEWHERE, Servers::One), (BOTH, Servers::Two)]
        {
            let world = world(backend, allowed, servers).await;
            for sql in [JOIN, ANTI] {
                let (rows, _, fragments) = world.answer(&session("safeguarding_lead"), sql).await.unwrap();
                assert_eq!(fragments.len(), 2, "{backend:?} {allowed:?}: {sql}");
                assert!(!rows.is_empty());
            }
        }
    }
}

/// The audit log has the statement under each of the two, with its own agreement, and so has EXPLAIN.
#[tokio::test]
async fn both_agencies_are_named() {
    for backend in Backend::ALL {
        let world = world(backend, BOTH, Servers::One).await;
        let session = session("safeguarding_lead");
        world.rows(&session, JOIN).await.unwrap();
        world.engine.flush_audit().await.unwrap();
        let mut log = String::new();
        for entry in std::fs::read_dir(world.audit_directory()).unwrap() {
            log.push_str(&std::fs::read_to_string(entry.unwrap().path()).unwrap_or_default());
        }
        let statements = |agency: &str| log.matches(&format!("\"agency\":\"{agency}\",\"sql\"")).count();
        assert_eq!((statements("social"), statements("housing")), (1, 1), "{backend:?}: {log}");
        let plan = world.rows(&session, &format!("EXPLAIN {JOIN}")).await.unwrap();
        let text: Vec<String> = plan.into_iter().map(|row| row.join("")).collect();
        let text = text.join("\n");
        assert!(text.contains("social") && text.contains("housing"), "{text}");
    }
}
