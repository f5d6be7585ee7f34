# Who may do what.
#
# What each operation needs, what each role grants and what each permission asks for are data (access.json);
# this file is how they combine. Every condition is stated as what must hold, so that an input which lacks a
# member, or has one of the wrong type, is refused. Network ranges are compared by the asker, who hands over
# the outcome: the engine has no built-in for them.

package datapunk

import rego.v1

# The kind of principal: `user` of `user:4f6c...`.
kind := split(input.caller.principal, ":")[0]

action := data.access.actions[input.action]

# Whoever owns a resource may need less than others. An asker who does not know the owner yet, as the edge of
# a function, opens the door to owners; the code behind it asks again.
own if not input.resource.owner

own if input.resource.owner == input.caller.principal

need := action.own if {
	own
	action.own
} else := action.needs

permission := data.access.permissions[need]

# Roles grant permissions, those of the roles they inherit from too.
roles contains role if {
	some role in graph.reachable(data.access.inheritance, {given | some given in input.caller.roles})
}

granted contains name if {
	some role in roles
	some name in data.access.grants[role]
}

holds contains "known_action" if permission

holds contains "authenticated" if permission.public

holds contains "authenticated" if data.access.principals[kind]

# A token may be narrower than its principal: both must have the permission.
holds contains "scope" if not permission.scope

holds contains "scope" if permission.scope in input.caller.scopes

# Users have roles. Clients and services may do what they were registered for, and that is their scopes.
holds contains "role" if not permission.role

holds contains "role" if permission.role in granted

holds contains "role" if data.access.principals[kind].scopes_suffice

holds contains "tenant" if not input.resource.tenant

holds contains "tenant" if input.resource.tenant == input.caller.tenant

# Tenants belong to the platform: its operators are the admins of its own tenant.
holds contains "platform_tenant" if not action.platform

holds contains "platform_tenant" if input.caller.tenant == data.access.platform_tenant

holds contains "network" if not permission.network

holds contains "network" if input.network[permission.network]

holds contains "delegation" if count(input.caller.actors) <= data.access.most_actors

# Nobody comes in as the platform itself: its tenant sees the rows of all others.
holds contains "own_tenant" if {
	input.caller.tenant != data.access.every_tenant
	regex.match(data.access.tenant_pattern, input.caller.tenant)
}

conditions := {
	"known_action",
	"authenticated",
	"scope",
	"role",
	"tenant",
	"platform_tenant",
	"network",
	"delegation",
	"own_tenant",
}

objections := conditions - holds

# Told to whoever is refused, so that the right token can be asked for.
default scope := ""

scope := permission.scope

decision := {
	"allow": count(objections) == 0,
	"objections": sort(objections),
	"scope": scope,
}
