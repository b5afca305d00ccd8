//! Orders of the operator: whom they concern, and giving them. Pure.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::member::Cause;
use super::order::{Kind, Order};
use super::ramp::Ramp;
use super::watched::Watched;
use crate::check::Reason;
use crate::config::model::{Server, Service};
use crate::ctl::closest;
use crate::ipc::message::{Admin, AdminOrder, Event, ServerName};

/// The word for every service, and for every server.
const EVERY: [&str; 2] = ["*", "all"];

/// A server by the place of its service and its own.
pub type Place = (usize, usize);

/// The real servers that the operator means. `service` is a name, or `*` or `all` for every one; `server` an address with or without
/// port, or `*` or `all`.
///
/// # Errors
/// There is none, in words.
pub fn select(services: &[Watched], service: &str, server: &str) -> Result<Vec<Place>, String> {
    select_among(services, |it| &it.servers, service, server)
}

/// The same among those servers of each service that `of` gives.
///
/// # Errors
/// There is none, in words.
pub fn select_among(
    services: &[Watched],
    of: impl Fn(&Service) -> &[Server],
    service: &str,
    server: &str,
) -> Result<Vec<Place>, String> {
    let named = services.iter().any(|watched| watched.service.name == service);
    let every = !named && EVERY.contains(&service);
    if !named && !every {
        let names = services.iter().map(|watched| watched.service.name.as_str());
        let hint =
            closest(service, names).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        return Err(format!("service {service}: there is none of this name{hint}"));
    }
    let wanted = Wanted::parse(server).ok_or_else(|| {
        format!(
            "server {server:?}: an address is needed, such as 192.168.61.22:80 or 192.168.61.22, or `all`"
        )
    })?;
    let chosen = services.iter().enumerate().filter(|(_, it)| every || it.service.name == service);
    let found: Vec<Place> = chosen
        .flat_map(|(at, watched)| {
            let servers = of(&watched.service).iter().enumerate();
            servers.filter(|(_, it)| wanted.is(it.address)).map(move |(place, _)| (at, place))
        })
        .collect();
    if found.is_empty() {
        let of = if every { "any service".to_owned() } else { format!("service {service}") };
        return Err(format!("server {server}: it is no real server of {of}"));
    }
    Ok(found)
}

enum Wanted {
    Every,
    Host(IpAddr),
    One(SocketAddr),
}

impl Wanted {
    fn parse(word: &str) -> Option<Self> {
        if EVERY.contains(&word) {
            return Some(Self::Every);
        }
        let host = || word.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(word).parse();
        word.parse().map(Self::One).or_else(|_| host().map(Self::Host)).ok()
    }

    fn is(&self, address: SocketAddr) -> bool {
        match self {
            Self::Every => true,
            Self::Host(host) => address.ip() == *host,
            Self::One(one) => address == *one,
        }
    }
}

/// Gives an order to a server; what subscribers shall know, if it is another than before. The table follows with the next
/// conclusion.
pub fn give(watched: &mut Watched, at: usize, order: AdminOrder, now: Instant) -> Option<Event> {
    let drain = watched.service.drain;
    let others = watched
        .service
        .servers
        .iter()
        .zip(&watched.members)
        .enumerate()
        .any(|(place, (server, member))| place != at && member.serves(server));
    let server = watched.service.servers.get(at)?;
    let member = watched.members.get_mut(at)?;
    let before = member.order;
    match order {
        AdminOrder::Drain { timeout_ms } => {
            let time = timeout_ms.map_or(drain, |given| given.map(Duration::from_millis));
            let fresh = Order::drain(now, time);
            // Another deadline, not another drain.
            let since = before.filter(|it| it.lets_finish(now)).map_or(fresh.since, |it| it.since);
            member.order = Some(Order { since, ..fresh });
        }
        AdminOrder::Disable if before.is_some_and(|it| it.kind == Kind::Disable) => return None,
        AdminOrder::Disable => member.order = Some(Order::disable(now)),
        AdminOrder::Enable => {
            member.order.take()?;
            if member.serves(server) && others {
                member.ramp = Ramp::new(now, watched.service.slow_start);
            }
        }
    }
    let (admin, word) = match order {
        AdminOrder::Drain { .. } => (Admin::Draining, "draining"),
        AdminOrder::Disable => (Admin::Disabled, "disabled"),
        AdminOrder::Enable => (Admin::Enabled, "enabled"),
    };
    member.history.note(now, word, Reason::Borrowed("ordered by the operator"));
    event(watched, at, admin)
}

/// Tells of a server whose time of draining is over since `before` was concluded.
pub fn drained(watched: &mut Watched, at: usize, before: Cause, now: Instant) -> Option<Event> {
    let member = watched.members.get_mut(at)?;
    if (before, member.cause) != (Cause::Drains, Cause::Drained) {
        return None;
    }
    member.history.note(now, "drained", Reason::Borrowed("its time is over"));
    event(watched, at, Admin::Drained)
}

fn event(watched: &Watched, at: usize, admin: Admin) -> Option<Event> {
    let server = watched.service.servers.get(at)?.address;
    Some(Event::Admin { service: watched.service.name.clone(), server, admin })
}

/// The name of a server.
#[must_use]
pub fn name_of(services: &[Watched], (service, server): Place) -> Option<ServerName> {
    let watched = services.get(service)?;
    let server = watched.service.servers.get(server)?.address;
    Some(ServerName { service: watched.service.name.clone(), server })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::{Listen, Method, Protocol, ServiceKey};

    fn services() -> Vec<Watched> {
        let service = |name: &str, last: u8, servers: &[&str]| {
            let listen = Listen::Address(SocketAddr::from(([192, 0, 2, last], 80)));
            let key = ServiceKey { listen, protocol: Some(Protocol::Tcp) };
            let servers =
                servers.iter().map(|address| Server::new(address.parse().unwrap(), Method::Dr)).collect();
            Watched::new(Service { servers, ..Service::new(name, key) })
        };
        vec![
            service("web", 1, &["10.0.0.1:80", "10.0.0.2:80"]),
            service("shop", 2, &["10.0.0.2:443", "[fd00::2]:80"]),
        ]
    }

    #[test]
    fn one_server_one_host_everybody() {
        let services = services();
        let found = |service, server| select(&services, service, server).map_err(|why| why.to_string());
        assert_eq!(found("web", "10.0.0.2:80"), Ok(vec![(0, 1)]));
        assert_eq!(found("web", "10.0.0.2"), Ok(vec![(0, 1)]));
        assert_eq!(found("*", "10.0.0.2"), Ok(vec![(0, 1), (1, 0)]));
        assert_eq!(found("all", "10.0.0.2:443"), Ok(vec![(1, 0)]));
        assert_eq!(found("shop", "[fd00::2]"), Ok(vec![(1, 1)]));
        assert_eq!(found("shop", "fd00::2"), Ok(vec![(1, 1)]));
        assert_eq!(found("shop", "all"), Ok(vec![(1, 0), (1, 1)]));
        for (service, server, why) in [
            ("wbe", "all", "service wbe: there is none of this name; did you mean `web`?"),
            ("web", "10.0.0.9", "server 10.0.0.9: it is no real server of service web"),
            ("*", "10.0.0.9:80", "server 10.0.0.9:80: it is no real server of any service"),
        ] {
            assert_eq!(found(service, server), Err(why.to_owned()));
        }
        assert!(found("web", "web1").unwrap_err().starts_with("server \"web1\": an address is needed"));
    }

    #[test]
    fn an_order_is_told_once_and_a_drain_takes_another_deadline() {
        let mut services = services();
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let web = &mut services[0];
        let drain = |seconds: Option<u64>| AdminOrder::Drain { timeout_ms: Some(seconds.map(|s| s * 1000)) };
        assert!(matches!(give(web, 0, drain(None), now), Some(Event::Admin { admin: Admin::Draining, .. })));
        give(web, 0, drain(Some(60)), later);
        let order = web.members[0].order.unwrap();
        assert_eq!((order.since, order.deadline(later)), (now, Some(later + Duration::from_secs(60))));
        assert!(give(web, 0, AdminOrder::Disable, later).is_some());
        assert_eq!(give(web, 0, AdminOrder::Disable, later), None);
        assert!(give(web, 0, AdminOrder::Enable, later).is_some());
        assert_eq!(give(web, 0, AdminOrder::Enable, later), None);
        web.service.drain = Some(Duration::from_secs(5));
        give(web, 0, AdminOrder::Drain { timeout_ms: None }, later);
        assert_eq!(web.members[0].order.unwrap().deadline(later), Some(later + Duration::from_secs(5)));
    }
}
