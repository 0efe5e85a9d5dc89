//! The rules for `providers[].keys` and `server.auth.api_keys` as lists.

use std::collections::BTreeMap;

use super::{Problems, check_name, value_fault};
use crate::config::ClientKey;
use crate::error::Fault;
use crate::tree::KeyPath;

/// The secret and the name of a key.
pub(crate) type SecretAndName<'a> = (Option<&'a str>, Option<&'a str>);

/// Checks the names of the keys, and refuses secrets that occur twice. Their limits would be counted twice.
pub(crate) fn check(keys: &[SecretAndName<'_>], path: &KeyPath, to: &mut dyn Problems) {
    let (mut secrets, mut names) = (BTreeMap::new(), BTreeMap::new());
    for (index, (secret, _)) in keys.iter().enumerate() {
        let Some(secret) = secret else { continue };
        let own = path.index(index).key("key");
        let first = *secrets.entry(*secret).or_insert(index);
        if first != index {
            let first = path.index(first).key("key").to_string();
            to.problem(&own, Fault::Taken { what: "this key".to_owned(), first });
        }
    }
    for (index, (_, name)) in keys.iter().enumerate() {
        let Some(name) = name else { continue };
        let own = path.index(index).key("name");
        let first = *names.entry(*name).or_insert(index);
        if secrets.contains_key(name) {
            let hint = "write a name that may appear in logs";
            to.problem(&own, value_fault("the secret of a key", "the name of the key", hint));
        } else if first != index {
            let first = path.index(first).key("name").to_string();
            to.problem(&own, Fault::Taken { what: format!("{name:?}"), first });
        } else {
            check_name(name, &own, to);
        }
    }
}

/// Refuses the name and the secret of a client that an earlier client has. Each client comes with its path.
pub(crate) fn check_clients(clients: &[(KeyPath, &ClientKey)], to: &mut dyn Problems) {
    let (mut names, mut secrets) = (BTreeMap::new(), BTreeMap::new());
    for (index, (path, client)) in clients.iter().enumerate() {
        let first = *names.entry(&*client.name).or_insert(index);
        if first != index {
            let (what, first) = (format!("{:?}", client.name), clients[first].0.to_string());
            to.problem(&path.key("name"), Fault::Taken { what, first });
        }
        let first = *secrets.entry(client.key.expose()).or_insert(index);
        if first != index {
            let (what, first) = ("this key".to_owned(), clients[first].0.to_string());
            to.problem(&path.key("key"), Fault::Taken { what, first });
        }
    }
}
