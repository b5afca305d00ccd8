//! Of `lvs`: its services in a line each, for whoever shows a thousand of them.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{Health, ServiceStatus};

/// Real servers that are down and named in an overview.
pub const MOST_DOWN: usize = 30;

/// All services, without what only a look at one of them shows.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LvsOverview {
    /// In the order of the file.
    pub services: Vec<ServiceOverview>,
    /// The first [`MOST_DOWN`] real servers that are down.
    pub down: Vec<DownServer>,
    /// How many are down.
    pub servers_down: usize,
    /// Checks without an answer for longer than their interval and timeout allow.
    pub overdue: usize,
    /// Whether the kernel agrees; else why not.
    pub problem: Option<String>,
}

/// One virtual service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceOverview {
    /// As the status has it; with its real servers only where the box has few, or where it was asked for by name.
    pub service: ServiceStatus,
    /// Real servers, sorry servers not counted.
    pub servers: usize,
    /// Those of them that are alive.
    pub live: usize,
    /// Active connections, with those of sorry servers.
    pub active: u64,
}

/// A real server that does not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DownServer {
    /// Name of its service.
    pub service: String,
    /// Its address.
    pub server: SocketAddr,
    /// The last answer of its check in words.
    pub reason: String,
}

impl LvsOverview {
    /// What is to be seen of `services`; with their real servers where there are at most `few` of these, and with those of the
    /// service of this name.
    #[must_use]
    pub fn of(
        services: impl IntoIterator<Item = ServiceStatus>,
        problem: Option<String>,
        few: usize,
        name: Option<&str>,
    ) -> Self {
        let mut overview = Self { problem, ..Self::default() };
        let (mut shown, mut cleared) = (0, 0);
        for service in services {
            shown += service.servers.len();
            overview.add(service);
            if shown > few {
                // At once, so that ten thousand never stand here together.
                let rest = overview.services.iter_mut().skip(cleared).map(|it| &mut it.service);
                rest.filter(|it| Some(it.name.as_str()) != name).for_each(|it| it.servers = Vec::new());
                cleared = overview.services.len();
            }
        }
        overview
    }

    fn add(&mut self, service: ServiceStatus) {
        let real = || service.servers.iter().filter(|server| !server.sorry);
        for server in service.servers.iter().filter(|server| server.health == Health::Down) {
            self.servers_down += 1;
            if self.down.len() < MOST_DOWN {
                self.down.push(DownServer {
                    service: service.name.clone(),
                    server: server.address,
                    reason: server.reason.to_string(),
                });
            }
        }
        self.overdue += service.servers.iter().flat_map(|it| &it.checks).filter(|it| it.overdue).count();
        self.services.push(ServiceOverview {
            servers: real().count(),
            live: real().filter(|server| server.health == Health::Up).count(),
            active: service.servers.iter().map(|server| u64::from(server.active)).sum(),
            service,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipc::message::LvsStatus;

    fn web() -> ServiceStatus {
        let text = include_str!("../../../tests/outside/status.json").replace("\"@CONNECTIONS@\"", "7");
        let whole: serde_json::Value = serde_json::from_str(&text).unwrap();
        let status: LvsStatus = serde_json::from_value(whole["lvs"].clone()).unwrap();
        status.services.into_iter().next().unwrap()
    }

    #[test]
    fn a_crowd_is_counted_and_only_a_few_are_shown() {
        let service = web();
        assert_eq!(service.servers.len(), 2, "one of them down");
        let of = |services: usize, few| {
            LvsOverview::of(std::iter::repeat_n(service.clone(), services), None, few, None)
        };
        let shown = |overview: &LvsOverview| -> Vec<usize> {
            overview.services.iter().map(|it| it.service.servers.len()).collect()
        };
        assert_eq!(shown(&of(3, 6)), [2, 2, 2]);
        assert_eq!(shown(&of(3, 5)), [0, 0, 0]);
        assert_eq!(shown(&of(4, 2)), [0, 0, 0, 0]);
        let others = std::iter::repeat_n(ServiceStatus { name: "other".to_owned(), ..service.clone() }, 3);
        let mixed = others
            .chain([service.clone()])
            .chain([ServiceStatus { name: "last".to_owned(), ..service.clone() }]);
        assert_eq!(shown(&LvsOverview::of(mixed, None, 4, Some("web"))), [0, 0, 0, 2, 0]);
        let many = of(40, 6);
        assert_eq!((many.servers_down, many.down.len()), (40, MOST_DOWN));
        let one = many.services.first().unwrap();
        assert_eq!((one.servers, one.live), (2, 1));
        assert_eq!(one.active, service.servers.iter().map(|it| u64::from(it.active)).sum::<u64>());
        assert_eq!(one.service, ServiceStatus { servers: Vec::new(), ..service });
    }
}
