// A tour of @supabase/postgrest-js: prints what each step answered, as one JSON document.
import { createRequire } from "node:module";

const { PostgrestClient } = createRequire(process.env.NODE_PATH + "/")("@supabase/postgrest-js");
const [url, token] = process.argv.slice(2);
const client = new PostgrestClient(url, {
  headers: { Authorization: `Bearer ${token}`, apikey: token },
});
const answers = {};

async function step(name, request) {
  const { data, error, count, status } = await request;
  answers[name] = { data, count, status, code: error?.code ?? null };
}

const readings = () => client.from("js_readings");
const stations = () => client.from("js_stations");

await step("insert", stations().insert({ code: "MLO", name: "Mauna Loa", height: 3397 }));
await step("bulk", stations().insert([{ code: "SPO", name: "South Pole" }, { code: "CGO", height: 94 }]).select());
await step("rows", readings().insert(
  [1, 2, 3, 4].map((id) => ({ id, station: id < 3 ? "MLO" : "SPO", ppm: 310 + id, doc: { n: id }, label: `day ${id}`, span: `[${id},${id + 2})` })),
  { count: "exact" },
));
await step("upsert", stations().upsert({ code: "CGO", name: "Cape Grim" }, { onConflict: "code" }).select().single());
await step("ignore", stations().upsert({ code: "CGO", name: "x" }, { ignoreDuplicates: true }).select());
await step("defaults", readings().insert([{ id: 5 }, { id: 6, unit: "kg" }], { defaultToNull: false }).select("id,unit").order("id"));
await step("select", stations().select("code,name").order("code"));
await step("rename", readings().select("number:id,n:doc->>n,text:ppm::text").eq("id", 1));
await step("embed", readings().select("id,js_stations(name,height)").eq("id", 3).single());
await step("many", stations().select("code,js_readings(id)").order("code").order("id", { referencedTable: "js_readings", ascending: false }).limit(1, { referencedTable: "js_readings" }));
await step("inner", readings().select("id,js_stations!inner(code)").eq("js_stations.code", "SPO").order("id"));
await step("spread", readings().select("id,...js_stations(name)").eq("id", 1));
await step("hint", readings().select("id,place:js_stations!js_readings_station_fkey(code)").eq("id", 1));
await step("filters", readings().select("id").gte("id", 1).lt("id", 6).neq("id", 2).in("id", [1, 2, 3, 4]).order("id"));
await step("like", readings().select("id").like("label", "day%").ilike("label", "%3").order("id"));
await step("likeAny", readings().select("id").likeAnyOf("label", ["%1", "%4"]).order("id"));
await step("ilikeAll", readings().select("id").ilikeAllOf("label", ["DAY%", "%2"]));
await step("match", readings().select("id").match({ station: "MLO", id: 2 }));
await step("is", readings().select("id").is("station", null).order("id"));
await step("not", readings().select("id").not("station", "is", null).not("id", "in", "(1,2)").order("id"));
await step("or", readings().select("id").or("id.eq.1,and(id.gt.3,station.eq.SPO)").order("id"));
await step("contains", readings().select("id").contains("doc", { n: 2 }));
await step("ranges", readings().select("id").rangeGt("span", "[1,3)").rangeLte("span", "[4,6)").order("id"));
await step("adjacent", readings().select("id").rangeAdjacent("span", "[5,6)"));
await step("overlaps", readings().select("id").overlaps("span", "[1,2)"));
await step("search", readings().select("id").textSearch("label", "day & 2", { config: "english" }));
await step("websearch", readings().select("id").textSearch("label", "day -2", { type: "websearch" }).order("id"));
await step("page", readings().select("id", { count: "exact" }).order("id").range(1, 2));
await step("beyond", readings().select("id", { count: "exact" }).range(100, 110));
await step("head", readings().select("*", { count: "exact", head: true }));
await step("planned", readings().select("id", { count: "planned" }).limit(1));
await step("nulls", readings().select("id,ppm").order("ppm", { ascending: false, nullsFirst: false }).limit(1));
await step("maybe", readings().select().eq("id", 99).maybeSingle());
await step("single", readings().select().single());
await step("csv", readings().select("id,label").order("id").limit(2).csv());
await step("aggregate", readings().select("station,n:count(),ppm.sum()").not("station", "is", null).order("station"));
const above = (options) => client.rpc("js_above", { least: 312 }, options);
await step("rpc", above().select("id,ppm").lt("id", 4));
await step("rpcGet", above({ get: true }).select("id").order("id").limit(2));
await step("rpcHead", above({ head: true, count: "exact" }));
await step("rpcCount", above({ count: "exact" }).range(1, 1).select("id"));
await step("rpcCsv", above().select("id").csv());
await step("rpcOne", above().eq("id", 3).select("id").single());
await step("rpcList", client.rpc("js_these", { ids: [3, 1] }));
await step("rpcListGet", client.rpc("js_these", { ids: [3, 1] }, { get: true }));
await step("rpcFirst", client.rpc("js_first", { code: "SPO" }));
await step("rpcScalar", client.rpc("js_mean"));
await step("rpcData", client.rpc("js_first", { code: "MLO&or=(id.gt.0)" }));
await step("rpcUnknown", client.rpc("js_nowhere", { a: 1 }));
await step("rpcArgument", client.rpc("js_above", { lest: 1 }));
await step("rpcValue", client.rpc("js_above", { least: "x" }));
await step("update", readings().update({ label: "changed" }).eq("id", 1).select("id,label"));
await step("quiet", readings().update({ label: "again" }, { count: "exact" }).in("id", [1, 2]));
await step("affected", readings().delete().in("id", [1, 2]).maxAffected(1));
await step("delete", readings().delete().eq("id", 4).select("id"));
await step("unfiltered", readings().delete());
await step("unknown", client.from("js_nowhere").select());
await step("column", readings().select("nothing"));
await step("value", readings().select().eq("id", "x"));
await step("twice", stations().insert({ code: "MLO" }));
await step("dangling", readings().insert({ id: 9, station: "nobody" }));

console.log(JSON.stringify(answers));
