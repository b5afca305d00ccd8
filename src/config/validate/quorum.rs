//! `quorum` of a service.

use super::super::faults::Faults;
use super::super::field::{At, Field};
use super::super::model::{Need, Quorum, Server};
use super::super::raw::{self, QuorumTable};
use super::super::report::Span;
use super::{complete, items};

pub(super) fn quorum(raw: &raw::Service, servers: &[Server], faults: &mut Faults<'_>) -> Quorum {
    let Some(At { value, span }) = raw.quorum.set() else { return Quorum::default() };
    let (quorum, span) = match value {
        raw::Quorum::Weight(weight) => (Quorum { need: Need::Weight(*weight), hysteresis: 0 }, *span),
        raw::Quorum::Percent(share) => (Quorum { need: Need::Percent(share.0), hysteresis: 0 }, *span),
        raw::Quorum::Table(table) => {
            let Some(quorum) = long(table, faults) else { return Quorum::default() };
            (quorum, need_span(table).unwrap_or(*span))
        }
    };
    if complete(&raw.server) && !items(&raw.server).iter().any(|at| at.value.address.is_faulty()) {
        is_reached(quorum, span, servers, faults);
    }
    quorum
}

fn need_span(table: &QuorumTable) -> Option<Span> {
    table.weight.span().or_else(|| table.servers.span()).or_else(|| table.percent.span())
}

fn long(table: &QuorumTable, faults: &mut Faults<'_>) -> Option<Quorum> {
    let given =
        [table.weight.is_given(), table.servers.is_given(), table.percent.is_given()].map(usize::from);
    if given.iter().sum::<usize>() != 1 {
        let help = "for example { servers = 2, hysteresis = 1 }";
        faults.add_with_help(table.at, "`quorum` needs one of `weight`, `servers` and `percent`", help);
        return None;
    }
    let need = match (&table.servers, &table.percent) {
        (Field::Set(servers), _) => Need::Servers(servers.value.to(u32::MAX)),
        (_, Field::Set(percent)) => Need::Percent(percent.value.0),
        _ => Need::Weight(table.weight.get().map_or(1, |weight| weight.to(u32::MAX))),
    };
    let least = match need {
        Need::Weight(need) | Need::Servers(need) => need,
        Need::Percent(share) => u32::from(share),
    };
    need_span(table)?; // it was refused, and that was told
    let hysteresis = table.hysteresis.get().map_or(0, |hysteresis| hysteresis.to(u32::MAX));
    if let Some(span) = table.hysteresis.span()
        && hysteresis >= least
    {
        faults
            .add(span, format!("`hysteresis` {hysteresis} is not less than what the quorum needs, {least}"));
        return None;
    }
    Some(Quorum { need, hysteresis })
}

/// What lives must be able to reach need and hysteresis together: else the quorum is never gained.
fn is_reached(quorum: Quorum, span: Span, servers: &[Server], faults: &mut Faults<'_>) {
    let total: u64 = servers.iter().map(|server| u64::from(server.weight.get())).sum();
    // As at run time: one of weight 0 takes no connections, so it counts for nothing.
    let count: u64 = servers.iter().map(|server| u64::from(server.weight.get().min(1))).sum();
    let idle =
        if count < u64::try_from(servers.len()).unwrap_or(u64::MAX) { " but those of weight 0" } else { "" };
    let (need, most, what) = match quorum.need {
        Need::Weight(need) => (need, total, format!("all weights together are {total}")),
        Need::Servers(need) => (need, count, format!("all servers{idle} together are {count}")),
        Need::Percent(share) => (u32::from(share), 100, "all together are 100%".to_owned()),
    };
    let wanted = u64::from(need) + u64::from(quorum.hysteresis);
    if wanted > most {
        let with = if quorum.hysteresis > 0 { " with its `hysteresis`" } else { "" };
        faults.add(span, format!("`quorum` {need}{with} is never reached: {what}"));
    }
}
