//! By what two boxes tell whether they were given the same configuration, without sending it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::model::shared;
use super::model::{Check, Config, Service, Sorry, VrrpInstance};
use super::packed::digest;

/// Digests that fit one firmware only: another version may have another model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Marks {
    /// Of the file.
    pub text: u64,
    /// Of what should be the same on every box of a pair: services, `[ipvs]`, what is advertised, the synchronised connections.
    /// Names of interfaces, addresses and priorities are each box's own.
    pub common: u64,
}

impl Marks {
    /// Of a file and what it says on this box.
    #[must_use]
    pub fn of(text: &[u8], config: &Config) -> Self {
        let (packed, checks) = shared::numbering(|| postcard::to_allocvec(&config.services));
        Self::packed(digest(text), config, &packed.unwrap_or_default(), &checks)
    }

    /// The same where services are packed already: `packed`, and their `checks` by number.
    pub(super) fn packed(text: u64, config: &Config, packed: &[u8], checks: &[Arc<Check>]) -> Self {
        let different: HashSet<&Check> = checks.iter().map(|check| &**check).collect();
        let services = if different.len() == checks.len() {
            [digest(packed), of(&different_in_order(checks))]
        } else {
            // What is equal is shared or not, by what was changed since the first reading.
            let services = shared_by_value(&config.services);
            let (packed, checks) = shared::numbering(|| postcard::to_allocvec(&services));
            [digest(&packed.unwrap_or_default()), of(&different_in_order(&checks))]
        };
        let routers: Vec<[u64; 2]> = config.vrrp.iter().map(router).collect();
        let sync = config.sync.as_ref().map(|sync| (sync.id, sync.group, sync.port));
        Self { text, common: of(&(services, routers, &config.ipvs, sync)) }
    }

    /// Whether both boxes were given the same.
    #[must_use]
    pub const fn agree(self, other: Self) -> bool {
        self.text == other.text || self.common == other.common
    }
}

fn of(value: &impl Serialize) -> u64 {
    digest(&postcard::to_allocvec(value).unwrap_or_default())
}

fn different_in_order(checks: &[Arc<Check>]) -> Vec<&Check> {
    checks.iter().map(|check| &**check).collect()
}

/// What every box of a group has alike.
fn router(config: &VrrpInstance) -> [u64; 2] {
    let vips: Vec<_> = config.vips().map(|vip| vip.cidr).collect();
    let election = (config.vrid, config.version, config.interval, config.missed, config.preempt);
    [of(&(&config.name, &config.group, vips)), of(&election)]
}

fn shared_by_value(services: &[Service]) -> Vec<Service> {
    let mut known: HashMap<Arc<Check>, Arc<Check>> = HashMap::new();
    let mut services = services.to_vec();
    for service in &mut services {
        let sorry = match &mut service.sorry {
            Sorry::Servers(servers) => servers.as_mut_slice(),
            Sorry::None | Sorry::Local => &mut [],
        };
        for check in service.servers.iter_mut().chain(sorry).flat_map(|server| &mut server.checks) {
            *check = Arc::clone(known.entry(Arc::clone(check)).or_insert_with(|| Arc::clone(check)));
        }
    }
    services
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{NodeFacts, check};

    fn marks(text: &str) -> (Marks, Config) {
        let text = format!("version = 1\n[[interface]]\nname = \"eth0\"\n{text}");
        let config = check(&text, "f", &NodeFacts::default()).unwrap().config;
        (Marks::of(text.as_bytes(), &config), config)
    }

    const WEB: &str = "[[service]]\nname = \"web\"\nlisten = \"10.0.0.45:80\"\ncheck = { type = \"tcp\" }\n\
                       [[service.server]]\naddress = \"10.0.0.201\"\n[[service.server]]\naddress = \"10.0.0.202\"\n";

    #[test]
    fn what_is_each_boxes_own_does_not_count() {
        let one = |priority: u8, interval: &str, more: &str| {
            let text = format!(
                "addresses = [\"10.0.0.{priority}/24\"]\n[[vrrp]]\nname = \"a\"\ninterface = \"eth0\"\nvrid = 1\n\
                 addresses = [\"10.0.0.45\"]\npriority = {priority}\ninterval = \"{interval}\"\n{WEB}{more}"
            );
            marks(&text).0
        };
        let ours = one(100, "1s", "");
        assert!(ours.agree(one(50, "1s", "# a remark\n")));
        assert!(!ours.agree(one(50, "2s", "")));
        assert!(!ours.agree(one(50, "1s", "weight = 2\n")));
    }

    #[test]
    fn how_checks_are_shared_does_not_count() {
        let (before, mut config) = marks(&format!("addresses = [\"10.0.0.1/24\", \"10.0.0.45/32\"]\n{WEB}"));
        let servers = &mut config.services[0].servers;
        assert!(Arc::ptr_eq(&servers[0].checks[0], &servers[1].checks[0]));
        servers[1].checks[0] = Arc::new((*servers[1].checks[0]).clone());
        assert_eq!(Marks::of(b"", &config).common, before.common);
    }
}
