# Which rows a caller sees and writes: what row-level security does in PostgreSQL, said once more so that
# rows which are delivered without it (caches, events, realtime) are judged alike.
# tests/integration/policy compares the two.

package datapunk

import rego.v1

table := data.access.tables[input.resource.table]

platform if input.caller.tenant == data.access.every_tenant

default visible := false

visible if {
	not table.personal
	within_reach
	belongs
}

# What is a person's own is so in every tenant, and no administrator's.
visible if {
	table.personal
	input.resource.owner == input.caller.principal
}

visible if {
	table.personal
	platform
}

within_reach if {
	table
	input.resource.tenant == input.caller.tenant
	input.caller.tenant != ""
}

within_reach if {
	table.platform
	platform
}

within_reach if {
	table.operated
	input.caller.tenant == data.access.platform_tenant
	"admin" in input.caller.roles
}

belongs if not table.owned

belongs if input.resource.owner == input.caller.principal

# What is private stays its owner's, also from administrators.
belongs if {
	not table.private
	"admin" in input.caller.roles
}

belongs if platform
