//! The whole way of a query, readable from top to bottom.
//!
//! SQL text → session → logical plan → released relations (policy) → DataFusion's optimizer → fragments (federation) → audit
//! intent → sources → answer → audit outcome. Each step takes the type that the one before it made.

mod answer;
mod catalogs;
mod description;
mod examination;
mod explain;
mod meaning;
mod record;
mod statement;
mod trusted_time;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{NaiveDate, Utc};
use datafusion::arrow::datatypes::DataType;
use datafusion::catalog::TableProvider;
use datafusion::common::{DataFusionError, SchemaError, TableReference};
use datafusion::datasource::ViewTable;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::execution::{SessionState, SessionStateDefaults, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::SessionConfig;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast;
use futures::TryStreamExt;
use tokio::sync::watch;
use wayleave_connector_api::{Audience, ServerInfo};

pub use crate::execution::physical_rules_as_meant;
pub use answer::{Answer, FragmentReport, Notice, Progress};
pub use description::Description;
pub use examination::{AskedAbout, Examination, PersonFinding, RegisterEntryFound};
pub use explain::{
    AgreementPlan, ConsentPlan, Does, ExplainFormat, Explanation, FragmentNumbers, FragmentPlan, Kept, KeysFrom,
    Numbers, QueryNumbers, Role, Run, Step, StepNumbers, Timing,
};
pub use meaning::as_meant;

use crate::alert::Alerts;
use crate::audit::{AuditLog, FailedLogin, latest_time};
use crate::catalog::Agencies;
use crate::config::{Config, Limits, ViewConfig};
use crate::error::Error;
use crate::execution::{Memory, MemoryLimits, MemoryUse, QueryMemory, physical_rules};
use crate::expression::{OverflowIsAnError, exact_sum};
use crate::federate::{PushdownLevel, QueryRun, SharedReads, federate, plan_physical, planned_fragments};
use crate::names::QualifiedTable;
use crate::policy::files::PolicySet;
use crate::policy::{Clock, EnforcedPlan, PoliciesInForce, Policy, PolicySource, PolicyState};
use crate::registry;
use crate::session::Session;
use crate::unified::unified_sql;
use catalogs::{Catalogs, HOME, SessionNames, UNIFIED};
use explain::{QueryPlan, Request};
use statement::parse;
use trusted_time::TrustedTime;

/// How long an agency may take to answer whether it is there.
const PING_DEADLINE: Duration = Duration::from_secs(10);

/// Wayleave over one configuration.
#[derive(Debug)]
pub struct Engine {
    policies: Arc<PoliciesInForce>,
    agencies: Agencies,
    clock: Clock,
    time: TrustedTime,
    views: BTreeMap<String, ViewConfig>,
    audit: Arc<AuditLog>,
    alerts: Alerts,
    base: SessionState,
    memory: Memory,
    pushdown: PushdownLevel,
}

/// A released table, for listings.
#[derive(Clone, Debug)]
pub struct ReleasedTable {
    pub agency: String,
    pub schema: String,
    pub table: String,
    pub columns: Vec<(String, DataType)>,
    pub agreement: String,
    /// `available`, or why the table cannot be read now.
    pub state: String,
}

/// Whether an agency can be reached.
#[derive(Debug)]
pub struct AgencyState {
    pub agency: String,
    pub info: Result<ServerInfo, Error>,
    pub latency: Duration,
}

/// Whether one share of an agreement in force can be applied to its agency's database.
#[derive(Debug)]
pub struct ShareState {
    pub agreement: String,
    pub table: QualifiedTable,
    pub state: Result<(), Error>,
}

/// How a statement comes to need a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mention {
    Named,
    /// Among all others, in a listing.
    Listed,
}

/// A query, planned and proven, with nothing sent yet.
struct Planned {
    query: Arc<QueryPlan>,
    state: SessionState,
}

/// A statement whose names are known.
struct Resolved {
    raw: LogicalPlan,
    names: Arc<SessionNames>,
    state: SessionState,
    notices: Vec<Notice>,
}

impl Resolved {
    /// A plan of this statement with its types settled: before policy looks at expressions, so that it sees every cast that
    /// will run.
    fn settled(&self, plan: LogicalPlan) -> Result<LogicalPlan, Error> {
        let failed = |error: DataFusionError| planning_error(&error, &self.names);
        let meant = as_meant(plan).map_err(failed)?;
        self.state.analyzer().execute_and_check(meant, self.state.config_options(), |_, _| {}).map_err(failed)
    }
}

impl Engine {
    /// Reads policy files and opens the audit log. No source is reached.
    ///
    /// # Errors
    /// [`Error::Files`] for policy files, [`Error::Audit`] for the log, [`Error::Source`] for unusable settings.
    pub async fn open(config: Config) -> Result<Self, Error> {
        Self::with_clock(config, Clock::System).await
    }

    /// [`Engine::open`] on a fixed day.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub async fn with_clock(config: Config, clock: Clock) -> Result<Self, Error> {
        let agencies = registry::agencies(&config)?;
        let source = PolicySource { directory: config.policies.clone(), signed_by: config.signed_by.clone() };
        let policies = PoliciesInForce::open(source, |set| in_force(set, &config, &agencies, clock))?;
        Self::of(config, policies, agencies, clock)
    }

    /// [`Engine::with_clock`] under policies that have been read already.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub async fn with_policies(config: Config, set: PolicySet, clock: Clock) -> Result<Self, Error> {
        let agencies = registry::agencies(&config)?;
        let policies = PoliciesInForce::fixed(in_force(set, &config, &agencies, clock)?);
        Self::of(config, policies, agencies, clock)
    }

    fn of(config: Config, policies: Arc<PoliciesInForce>, agencies: Agencies, clock: Clock) -> Result<Self, Error> {
        // Before the log is opened, which may write to it.
        let time = TrustedTime::new(Utc::now(), latest_time(&config.audit.directory));
        let audit = Arc::new(AuditLog::open(&config.audit.directory)?);
        let memory = Memory::new(&memory_limits(&config.limits))?;
        let base = base_state(&memory);
        let (views, alerts) = (config.views, Alerts::new(config.alerts));
        Ok(Self { policies, agencies, clock, time, views, audit, alerts, base, memory, pushdown: PushdownLevel::Full })
    }

    /// The same engine with another level of pushdown: for differential tests, which run every query both ways.
    #[must_use]
    pub fn with_pushdown(mut self, level: PushdownLevel) -> Self {
        self.pushdown = level;
        self
    }

    /// The policies in force.
    pub fn policies(&self) -> Arc<Policy> {
        self.policies.policy()
    }

    /// From now on edits to the policy files are put in force while this engine lives: checked as a whole, in one step, for
    /// the queries that start after them. It needs a runtime.
    pub fn follow_policies(&self) {
        self.policies.follow();
    }

    /// Whether owners of agreements could be told of an emergency.
    pub fn tells_owners(&self) -> bool {
        self.alerts.is_configured()
    }

    /// Which set is in force, and why an edit is not: now, and whenever it changes.
    pub fn policy_state(&self) -> watch::Receiver<PolicyState> {
        self.policies.state()
    }

    /// The day that decides which agreements are in force.
    pub fn today(&self) -> NaiveDate {
        self.clock.today()
    }

    pub fn agencies_configured(&self) -> &Agencies {
        &self.agencies
    }

    /// Plans a query, records its intent and starts it. Rows stream from [`Answer::batches`]; dropping that cancels at the
    /// sources.
    ///
    /// # Errors
    /// Every refusal of policy, whatever is wrong with the SQL, and [`Error::Audit`] where its intent cannot be recorded:
    /// then nothing is sent.
    pub async fn query(&self, session: &Session, sql: &str) -> Result<Answer, Error> {
        let query_id = uuid::Uuid::now_v7().to_string();
        let (request, statement) = parse(sql, &self.base)?;
        let planned = self.planned(session, &query_id, sql, statement).await?;
        match request {
            None => self.start(session, &query_id, sql, &planned).await,
            Some(Request { run: Run::Planned, format, .. }) => {
                let explanation = planned.query.explanation(Audience::Asker, None);
                Ok(answer::of_text(query_id, &explanation.written(format), format))
            }
            Some(Request { run: Run::Analyzed, format, timing, .. }) => {
                let answer = self.start(session, &query_id, sql, &planned).await?;
                Ok(answer::measured(answer, Audience::Asker, format, timing))
            }
        }
    }

    /// Records the intent of a planned query, and starts it.
    async fn start(&self, session: &Session, query_id: &str, sql: &str, planned: &Planned) -> Result<Answer, Error> {
        let query = &planned.query;
        self.audit.intent(record::intent(session, query_id, sql, query)).await?;
        if let Err(error) = self.tell_owners(session, query_id, query).await {
            self.audit.outcome(record::not_started(query_id, &error)).await?;
            return Err(error);
        }
        let run = Arc::new(QueryRun::new(query_id));
        let memory = Arc::new(self.memory.for_query(planned.state.runtime_env())?);
        let context = task_context(&planned.state, &run, &memory);
        let started = Instant::now();
        // A plan that cannot start is an answer that fails at once, so that its outcome is recorded like any other.
        let batches = execute_stream(Arc::clone(&query.physical), context)
            .unwrap_or_else(|error| answer::failed(query.physical.schema(), error));
        let batches = memory.explained(batches);
        Ok(answer::start(batches, run, Arc::clone(&self.audit), started, query))
    }

    /// How a query would be answered: which agency receives which SQL, what stays here, and under which agreements. No
    /// source is asked for a row. `sql` is a query, or an EXPLAIN of one, whose options count then.
    ///
    /// # Errors
    /// As [`Engine::query`].
    pub async fn explain(&self, session: &Session, sql: &str, audience: Audience) -> Result<String, Error> {
        let (request, statement) = parse(sql, &self.base)?;
        let Request { run, format, timing, .. } = request.unwrap_or_default();
        let explanation = self.explanation_of(session, sql, statement, audience, run).await?;
        Ok(explanation.timed(timing).written(format))
    }

    /// [`Engine::explain`] as a value. [`Run::Analyzed`] runs the query like any other, with its audit records, throws its
    /// rows away and tells what was measured.
    ///
    /// # Errors
    /// As [`Engine::query`]; where the query is run, whatever it fails by.
    pub async fn explanation(
        &self,
        session: &Session,
        sql: &str,
        audience: Audience,
        run: Run,
    ) -> Result<Explanation, Error> {
        let (_, statement) = parse(sql, &self.base)?;
        self.explanation_of(session, sql, statement, audience, run).await
    }

    async fn explanation_of(
        &self,
        session: &Session,
        sql: &str,
        statement: Statement,
        audience: Audience,
        run: Run,
    ) -> Result<Explanation, Error> {
        let query_id = uuid::Uuid::now_v7().to_string();
        let planned = self.planned(session, &query_id, sql, statement).await?;
        if run == Run::Planned {
            return Ok(planned.query.explanation(audience, None));
        }
        let Answer { mut batches, progress, .. } = self.start(session, &query_id, sql, &planned).await?;
        while batches.try_next().await?.is_some() {}
        Ok(progress.explanation(audience).unwrap_or_else(|| planned.query.explanation(audience, None)))
    }

    /// Plans a statement; what policy refuses is recorded.
    async fn planned(
        &self,
        session: &Session,
        query_id: &str,
        sql: &str,
        statement: Statement,
    ) -> Result<Planned, Error> {
        let policy = self.policy_now().await?;
        let planned = self.plan(&policy, session, statement).await;
        self.recorded(session, query_id, sql, &policy, planned).await
    }

    /// The policies under which what is asked now is planned.
    async fn policy_now(&self) -> Result<Arc<Policy>, Error> {
        // No record of it: one more with this clock's time would make it the log's.
        self.time.check(self.clock, Utc::now())?;
        Ok(self.policies.current().await)
    }

    /// What has come of planning; a refusal is on the record first.
    async fn recorded<T>(
        &self,
        session: &Session,
        query_id: &str,
        sql: &str,
        policy: &Policy,
        planned: Result<T, Error>,
    ) -> Result<T, Error> {
        if let Err(error) = &planned {
            self.audit.refusal(record::refusal(session, query_id, sql, policy, error)).await?;
        }
        planned
    }

    /// Names and meanings of a statement, as one session may know them.
    async fn resolved(&self, policy: &Arc<Policy>, session: &Session, statement: Statement) -> Result<Resolved, Error> {
        let mut names = Arc::new(SessionNames::new(Arc::clone(policy), session.clone(), self.base.clone()));
        let mut notices = Vec::new();
        let mut state = session_state(&self.base, &names);
        let references = state
            .resolve_table_references(&statement)
            .map_err(|error| Error::Plan { message: error.strip_backtrace() })?;
        let views = self.views_named(&references, &statement);
        let of_views =
            views.iter().filter(|(_, mention)| *mention == Mention::Named).flat_map(|(view, _)| &view.sources);
        let tables = names.tables_named(&references).into_iter().chain(of_views.cloned()).collect();
        names.release_ahead(tables).await;
        if !views.is_empty() {
            let mut providers = BTreeMap::new();
            for (view, mention) in views {
                match (self.unified_view(view, &names, &state, &mut notices).await, mention) {
                    (Ok(Some(provider)), _) => {
                        providers.insert(view.name.clone(), provider);
                    }
                    // A listing shows what there is; only who asks for a view is told why there is none.
                    (Ok(None), _) | (Err(_), Mention::Listed) => {}
                    (Err(error), Mention::Named) => return Err(error),
                }
            }
            names = Arc::new(names.with_views(providers));
            state = session_state(&self.base, &names);
        }
        let raw = state.statement_to_plan(statement).await.map_err(|error| planning_error(&error, &names))?;
        Ok(Resolved { raw, names, state, notices })
    }

    async fn plan(&self, policy: &Arc<Policy>, session: &Session, statement: Statement) -> Result<Planned, Error> {
        let started = Instant::now();
        let resolved = self.resolved(policy, session, statement).await?;
        let plan = resolved.settled(resolved.raw.clone())?;
        let Resolved { raw, state, mut notices, .. } = resolved;
        let enforced = EnforcedPlan::build(plan)?.optimize(&state)?;
        let federated = federate(&enforced, self.pushdown)?;
        let physical = plan_physical(&federated, &state).await?;
        let fragments = planned_fragments(&federated.plan)?;
        notices.extend(enforced.notices().into_iter().map(|text| Notice { text }));
        let query = QueryPlan {
            raw,
            optimized: enforced.plan().clone(),
            whole: federated.whole,
            federated: federated.plan,
            physical,
            fragments,
            kept: federated.kept,
            agreements: enforced.agreements(),
            passed_over: enforced.passed_over(),
            policy_hash: policy.set().hash.clone(),
            notices,
            planning: started.elapsed(),
        };
        Ok(Planned { query: Arc::new(query), state })
    }

    /// The views that a statement may need.
    fn views_named(&self, references: &[TableReference], statement: &Statement) -> Vec<(&ViewConfig, Mention)> {
        let lists = matches!(statement, Statement::Statement(inner)
                if matches!(inner.as_ref(), ast::Statement::ShowTables { .. } | ast::Statement::ShowColumns { .. }))
            || references.iter().any(|reference| reference.schema() == Some("information_schema"));
        let named = |view: &ViewConfig| {
            references.iter().any(|reference| {
                reference.table() == view.name
                    && reference.schema().is_none_or(|schema| schema == UNIFIED)
                    && reference.catalog().is_none_or(|catalog| catalog == HOME)
            })
        };
        let mention = |view: &ViewConfig| match (named(view), lists) {
            (true, _) => Some(Mention::Named),
            (false, true) => Some(Mention::Listed),
            (false, false) => None,
        };
        self.views.values().filter_map(|view| Some((view, mention(view)?))).collect()
    }

    async fn unified_view(
        &self,
        view: &ViewConfig,
        names: &Arc<SessionNames>,
        state: &SessionState,
        notices: &mut Vec<Notice>,
    ) -> Result<Option<Arc<dyn TableProvider>>, Error> {
        let mut released = Vec::with_capacity(view.sources.len());
        for source in &view.sources {
            match names.release(source).await {
                Ok(table) => released.push((source.clone(), Some(table))),
                Err(Error::TableNotReleased { .. }) => released.push((source.clone(), None)),
                Err(error) => return Err(error),
            }
        }
        let borrowed: Vec<_> = released.iter().map(|(name, table)| (name.clone(), table.as_deref())).collect();
        let Some(unified) = unified_sql(view, &borrowed) else { return Ok(None) };
        notices.extend(unified.notices.into_iter().map(|text| Notice { text }));
        let failed = |error: DataFusionError| Error::Plan {
            message: format!("view `{}`: {}", view.name, error.strip_backtrace()),
        };
        let plan = state.create_logical_plan(&unified.sql).await.map_err(failed)?;
        // Types are settled now, so that a column that one agency lacks has the others' type.
        let plan = state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {}).map_err(failed)?;
        Ok(Some(Arc::new(ViewTable::new(plan, None))))
    }

    /// Everything released to a session, with each table's state: an agency that is down does not hide the others.
    ///
    /// # Errors
    /// None at present; the signature leaves room for a policy set that cannot be read.
    pub async fn released_tables(&self, session: &Session) -> Result<Vec<ReleasedTable>, Error> {
        let policy = self.policies.current().await;
        let names = Arc::new(SessionNames::new(Arc::clone(&policy), session.clone(), self.base.clone()));
        let views = self.views.values().map(|view| self.listed_view(view, &policy, &names));
        let views = futures::future::join_all(views).await;
        let tables = policy.entitled_tables(session);
        let listed = tables.into_iter().map(|(name, agreement)| {
            let names = Arc::clone(&names);
            async move {
                let released = names.release(&name).await;
                let (columns, state) = match released {
                    Ok(table) => {
                        let columns = table.columns.iter().map(|c| (c.name.clone(), c.data_type.clone())).collect();
                        (columns, "available".to_owned())
                    }
                    Err(error) => (Vec::new(), format!("unavailable: {error}")),
                };
                let QualifiedTable { agency, schema, table } = name;
                ReleasedTable { agency, schema, table, columns, agreement, state }
            }
        });
        Ok(views.into_iter().flatten().chain(futures::future::join_all(listed).await).collect())
    }

    /// A view as one session may see it; `None` where nothing below it is released.
    async fn listed_view(
        &self,
        view: &ViewConfig,
        policy: &Policy,
        names: &Arc<SessionNames>,
    ) -> Option<ReleasedTable> {
        let entitled = policy.entitled_tables(names.session());
        let mut agreements: Vec<String> = entitled
            .into_iter()
            .filter(|(table, _)| view.sources.contains(table))
            .map(|(_, agreement)| agreement)
            .collect();
        agreements.dedup();
        if agreements.is_empty() {
            return None;
        }
        let state = session_state(&self.base, names);
        let (columns, state) = match self.unified_view(view, names, &state, &mut Vec::new()).await {
            Ok(Some(provider)) => {
                let schema = provider.schema();
                let columns = schema.fields().iter().map(|f| (f.name().clone(), f.data_type().clone())).collect();
                (columns, "available".to_owned())
            }
            Ok(None) => return None,
            Err(error) => (Vec::new(), format!("unavailable: {error}")),
        };
        Some(ReleasedTable {
            agency: HOME.to_owned(),
            schema: UNIFIED.to_owned(),
            table: view.name.clone(),
            columns,
            agreement: agreements.join(", "),
            state,
        })
    }

    /// Tries every share of every agreement in force against the agencies' databases: columns, types, row filters, masks and
    /// registers. No row is read. For those who write agreements: the errors' [`Error::operator_detail`] says what is wrong.
    pub async fn shares(&self) -> Vec<ShareState> {
        let mut states = Vec::new();
        let policy = self.policies.current().await;
        for agreement in &policy.set().agreements {
            let recipient = agreement.recipients.iter().find_map(|r| Some((&r.organisation, r.roles.first()?)));
            let Some((organisation, role)) = recipient else { continue };
            let session = Session {
                user: "wayleave check".to_owned(),
                organisation: organisation.clone(),
                role: role.clone(),
                purpose: agreement.basis.purpose.clone(),
                case_reference: Some("wayleave check".to_owned()),
                reason: Some("wayleave check".to_owned()),
                beyond_consent: None,
            };
            for share in &agreement.shares {
                let state = policy.release(&session, &share.table, &self.base).await.map(|_| ());
                // An agreement that is a draft or out of its time releases nothing, and need not fit yet.
                if !matches!(state, Err(Error::AgreementNotInForce { .. } | Error::TableNotReleased { .. })) {
                    states.push(ShareState { agreement: agreement.id.clone(), table: share.table.clone(), state });
                }
            }
        }
        states
    }

    /// Reaches every agency at once, each with a deadline of its own.
    pub async fn agencies(&self) -> Vec<AgencyState> {
        let pings = self.agencies.iter().map(|agency| async move {
            let started = Instant::now();
            let info = match tokio::time::timeout(PING_DEADLINE, agency.ping()).await {
                Ok(Ok(info)) => Ok(info),
                Ok(Err(error)) => Err(Error::Source { agency: agency.name.clone(), source: Arc::new(error) }),
                Err(_) => Err(Error::Source {
                    agency: agency.name.clone(),
                    source: Arc::new(wayleave_connector_api::ConnectorError::Unavailable {
                        operator_detail: format!("no answer within {} s", PING_DEADLINE.as_secs()),
                    }),
                }),
            };
            AgencyState { agency: agency.name.clone(), info, latency: started.elapsed() }
        });
        futures::future::join_all(pings).await
    }

    /// What all running queries hold in memory and on disk.
    pub fn memory_in_use(&self) -> MemoryUse {
        self.memory.in_use()
    }

    /// Puts a failed login on the record.
    ///
    /// # Errors
    /// [`Error::Audit`] where it cannot be written.
    pub async fn record_failed_login(&self, login: FailedLogin) -> Result<(), Error> {
        Ok(self.audit.failed_login(login).await?)
    }

    /// Waits until every audit record given so far is on disk.
    ///
    /// # Errors
    /// [`Error::Audit`] where it cannot be written.
    pub async fn flush_audit(&self) -> Result<(), Error> {
        Ok(self.audit.flush().await?)
    }
}

/// A set over these agencies, which are all that it may name.
fn in_force(set: PolicySet, config: &Config, agencies: &Agencies, clock: Clock) -> Result<Policy, Error> {
    set.check_agencies(&agencies.names().map(str::to_owned).collect())?;
    Ok(Policy::new(set, agencies.clone(), config.pseudonyms.clone(), clock))
}

fn memory_limits(limits: &Limits) -> MemoryLimits {
    MemoryLimits {
        query: usize::try_from(limits.query_memory).unwrap_or(usize::MAX),
        process: usize::try_from(limits.process_memory).unwrap_or(usize::MAX),
        spill: limits.spill_disk,
        spill_directory: limits.spill_directory.clone(),
    }
}

fn base_state(memory: &Memory) -> SessionState {
    let mut config = SessionConfig::new()
        .with_default_catalog_and_schema(HOME, UNIFIED)
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(true);
    let options = config.options_mut();
    options.sql_parser.dialect = datafusion::common::config::Dialect::PostgreSQL;
    // `0.5` is exact, as it is in every source: a binary float would make comparisons with decimals inexact.
    options.sql_parser.parse_float_as_decimal = true;
    options.sql_parser.map_string_types_to_utf8view = false;
    // It panics where NaN was among the first groups and is no longer.
    options.optimizer.enable_topk_aggregation = false;
    memory.configure(options);
    let mut aggregates = SessionStateDefaults::default_aggregate_functions();
    // The last of a name is the one that counts.
    aggregates.push(Arc::new(exact_sum()));
    SessionStateBuilder::new_with_default_features()
        .with_config(config)
        .with_aggregate_functions(aggregates)
        .with_analyzer_rule(Arc::new(OverflowIsAnError))
        .with_physical_optimizer_rules(physical_rules())
        .build()
}

fn session_state(base: &SessionState, names: &Arc<SessionNames>) -> SessionState {
    SessionStateBuilder::new_from_existing(base.clone())
        .with_catalog_list(Arc::new(Catalogs(Arc::clone(names))))
        .build()
}

fn task_context(state: &SessionState, run: &Arc<QueryRun>, memory: &Arc<QueryMemory>) -> Arc<TaskContext> {
    let context = TaskContext::from(state);
    let config = context.session_config().clone().with_extension(Arc::clone(run)).with_extension(Arc::clone(memory));
    let config = config.with_extension(Arc::new(SharedReads::default()));
    Arc::new(context.with_session_config(config).with_runtime(Arc::clone(memory.runtime())))
}

/// A planning failure in the terms of policy where it is one: a name that is not there is a name that is not released.
fn planning_error(error: &DataFusionError, names: &SessionNames) -> Error {
    if let Some(error) = answer::own_error(error) {
        return error;
    }
    if let DataFusionError::SchemaError(schema_error, _) = error.find_root()
        && let SchemaError::FieldNotFound { field, .. } = schema_error.as_ref()
    {
        let released = names.released();
        let named: Vec<_> = released
            .values()
            .filter(|table| field.relation.as_ref().is_none_or(|relation| relation.table() == table.name.table))
            .collect();
        // Behind an alias, any table of the query may be meant.
        let meant: Vec<_> = if named.is_empty() { released.values().collect() } else { named.clone() };
        for table in &meant {
            if let Some((column, reason)) = table.unreadable.iter().find(|(column, _)| *column == field.name) {
                return Error::UnreadableColumn {
                    table: table.name.to_string(),
                    column: column.clone(),
                    reason: reason.clone(),
                };
            }
        }
        let only = match (named.as_slice(), released.len()) {
            ([only], _) => Some(*only),
            // The relation is an alias: with one table in the query there is no doubt which is meant.
            ([], 1) => released.values().next(),
            _ => None,
        };
        if let Some(table) = only {
            return Error::ColumnNotReleased {
                table: table.name.to_string(),
                column: field.name.clone(),
                agreement: table.agreement.id.clone(),
            };
        }
        return Error::Plan { message: format!("no column `{}` is released here", field.flat_name()) };
    }
    Error::Plan { message: error.strip_backtrace() }
}
