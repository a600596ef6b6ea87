//! Where a statement over files pauses, so that it can be stopped.
//!
//! A join of every row with every row computes for as long as it finds nothing, and looks at no clock. Its inputs come in small
//! pieces here, and before each piece the clock is looked at and the thread given back.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, internal_err};
use datafusion::error::DataFusionError;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::joins::{CrossJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
};
use futures::Stream;
use wayleave_connector_api::ConnectorError;

/// Rows of a piece that meets every row of the other side.
const ROWS_A_PIECE: usize = 256;

/// When a statement has to end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    pub at: Option<Instant>,
    pub timeout_ms: u64,
}

impl Deadline {
    fn check(self) -> Result<()> {
        if self.at.is_some_and(|at| Instant::now() >= at) {
            return Err(DataFusionError::External(Box::new(ConnectorError::Timeout { timeout_ms: self.timeout_ms })));
        }
        Ok(())
    }
}

/// The plan with a pause before every join.
pub(crate) fn with_pauses(plan: Arc<dyn ExecutionPlan>, deadline: Deadline) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|node| {
        if node.children().len() < 2 {
            return Ok(Transformed::no(node));
        }
        let meets_all =
            node.downcast_ref::<CrossJoinExec>().is_some() || node.downcast_ref::<NestedLoopJoinExec>().is_some();
        let rows = if meets_all { ROWS_A_PIECE } else { usize::MAX };
        let pausing = node.children().into_iter().map(|child| -> Arc<dyn ExecutionPlan> {
            Arc::new(PausingExec { input: Arc::clone(child), rows, deadline })
        });
        let pausing = pausing.collect();
        Ok(Transformed::yes(
            node.replace_children(pausing, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))?,
        ))
    })
    .data()
}

/// Its input in pieces of so many rows, with a pause before each.
#[derive(Clone, Debug)]
struct PausingExec {
    input: Arc<dyn ExecutionPlan>,
    rows: usize,
    deadline: Deadline,
}

impl DisplayAs for PausingExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PausingExec")
    }
}

impl ExecutionPlan for PausingExec {
    fn name(&self) -> &'static str {
        "PausingExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let Ok([input]) = <[_; 1]>::try_from(children) else { return internal_err!("a pause has one input") };
        Ok(Arc::new(Self { input, ..Self::clone(&self) }))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let state = Pausing { input, rows: self.rows, deadline: self.deadline, rest: None, paused: false };
        Ok(Box::pin(state))
    }
}

struct Pausing {
    input: SendableRecordBatchStream,
    rows: usize,
    deadline: Deadline,
    rest: Option<RecordBatch>,
    paused: bool,
}

impl Stream for Pausing {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if !self.paused {
            self.paused = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Err(error) = self.deadline.check() {
            return Poll::Ready(Some(Err(error)));
        }
        let batch = match self.rest.take() {
            Some(rest) => rest,
            None => match std::task::ready!(self.input.as_mut().poll_next(context)) {
                Some(Ok(batch)) => batch,
                other => return Poll::Ready(other),
            },
        };
        self.paused = false;
        if batch.num_rows() <= self.rows {
            return Poll::Ready(Some(Ok(batch)));
        }
        self.rest = Some(batch.slice(self.rows, batch.num_rows().saturating_sub(self.rows)));
        Poll::Ready(Some(Ok(batch.slice(0, self.rows))))
    }
}

impl RecordBatchStream for Pausing {
    fn schema(&self) -> SchemaRef {
        self.input.schema()
    }
}
