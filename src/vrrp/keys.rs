//! Keys that lie in files: read from where `store` has brought them, on tmpfs.

use std::collections::BTreeMap;
use std::fs;

use crate::config::model::{HmacKey, VrrpAuth, VrrpInstance};
use crate::paths::RunDir;

/// Reads the keys of all virtual routers. Gives those that lack one, by name, and why: they take no part, and have no key in its place.
pub fn read(run: &RunDir, routers: &mut [VrrpInstance]) -> BTreeMap<String, String> {
    let mut without = BTreeMap::new();
    for router in routers {
        let Some(VrrpAuth::Hmac(auth)) = &mut router.auth else { continue };
        auth.keys.retain_mut(|key| {
            let Some(file) = &key.file else { return true };
            let text = fs::read_to_string(run.secret(file)).unwrap_or_default();
            let secret = HmacKey::read(text.trim());
            if secret.is_none() {
                let why = if text.is_empty() { "it could not be read" } else { "it has not 32 to 64 bytes" };
                without.insert(router.name.clone(), format!("key {} from {file}: {why}", key.id));
            }
            key.secret = secret.unwrap_or_default();
            !key.secret.is_empty()
        });
    }
    without
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::{HmacAuth, HmacMode, Replay, VirtualAddress};
    use crate::units::{Cidr, Vrid};

    #[test]
    fn a_key_is_read_and_who_lacks_one_has_none() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::new(dir.path());
        fs::create_dir(dir.path().join("secrets")).unwrap();
        let text = "as many characters as it takes: 32 at least";
        fs::write(run.secret("/a"), format!("{text}\n")).unwrap();
        fs::write(run.secret("/short"), "short").unwrap();
        let vip = VirtualAddress::from("10.0.0.45".parse::<Cidr>().unwrap());
        let router = |file: &str| VrrpInstance {
            auth: Some(VrrpAuth::Hmac(HmacAuth {
                keys: vec![HmacKey { file: Some(file.to_owned()), ..HmacKey::new(1, Vec::new()) }],
                active: 1,
                replay: Replay::Monotonic,
                mode: HmacMode::Enforce,
            })),
            ..VrrpInstance::new(file, "eth0".parse().unwrap(), Vrid::try_from(51).unwrap(), vec![vip.clone()])
        };
        let mut routers = ["/a", "/short", "/none"].map(router);
        let without = read(&run, &mut routers);
        assert_eq!(without.len(), 2);
        assert_eq!(without["/short"], "key 1 from /short: it has not 32 to 64 bytes");
        assert_eq!(without["/none"], "key 1 from /none: it could not be read");
        let secrets = routers.map(|router| match router.auth {
            Some(VrrpAuth::Hmac(auth)) => auth.keys.into_iter().map(|key| key.secret).collect(),
            _ => Vec::new(),
        });
        assert_eq!(secrets, [vec![text.as_bytes().to_vec()], Vec::new(), Vec::new()]);
    }
}
