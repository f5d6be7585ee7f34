# Which rows a caller sees and writes: what row-level security does in PostgreSQL, said once more so that
# rows which are delivered without it (caches, events, realtime) are judged alike.
# tests/integration/policy compares the two.

package datapunk

import rego.v1

table := data.access.tables[input.resource.table]

default visible := false

visible if {
	table.isolation == "tenant"
	input.resource.tenant == input.caller.tenant
}

visible if {
	table.platform_sees_all
	input.caller.tenant == data.access.every_tenant
}
