// Addresses of MLflow's own pages, which are kept behind the `#`, lead to ours.
const rules = [
  [/^\/experiments\/[^/]+\/runs\/([^/?]+)\/(?:artifacts|artifactPath)\/?([^?]*)/, ([, run, path]) => {
    const tail = path ? `?${new URLSearchParams({ path: decoded(path) })}` : "";
    return `/runs/${run}/artifacts${tail}`;
  }],
  [/^\/experiments\/[^/]+\/runs\/([^/?]+)\/model-metrics/, ([, run]) => `/runs/${run}/metrics`],
  [/^\/experiments\/[^/]+\/runs\/([^/?]+)/, ([, run]) => `/runs/${run}`],
  [/^\/experiments\/([^/?]+)[^?]*\??(.*)/, ([, id, query]) => `/experiments/${id}${tableOf(query)}`],
  [/^\/models\/([^/]+)\/versions\/([^/?]+)/, ([, name, version]) => `/models/${name}/versions/${version}`],
  [/^\/models\/([^/?]+)/, ([, name]) => `/models/${name}`],
  [/^\/models/, () => "/models"],
  [/^\/compare-runs\?(.*)/, ([, query]) => {
    try {
      return `/compare?runs=${JSON.parse(new URLSearchParams(query).get("runs")).join(",")}`;
    } catch {
      return null;
    }
  }],
];

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** What a table of MLflow is asked for, as ours is. */
function tableOf(query) {
  const asked = new URLSearchParams(query);
  const ours = new URLSearchParams();
  const filter = asked.get("searchFilter") ?? asked.get("search");
  if (filter) ours.set("filter", filter);
  const key = asked.get("orderByKey");
  if (key && key !== "attributes.start_time") {
    ours.set("order_by", `${key} ${asked.get("orderByAsc") === "true" ? "ASC" : "DESC"}`);
  }
  const stage = asked.get("lifecycleFilter")?.toLowerCase();
  if (stage === "deleted" || stage === "all") ours.set("view", stage);
  const tail = ours.toString();
  return tail && `?${tail}`;
}

function follow() {
  const hash = location.hash.slice(1);
  for (const [pattern, path] of rules) {
    const match = pattern.exec(hash);
    const target = match && path(match);
    if (target) {
      location.replace(location.pathname.replace(/\/$/, "") + target);
      return;
    }
  }
}

addEventListener("hashchange", follow);
follow();
