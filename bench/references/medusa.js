// Prices carts with @medusajs/promotion's own functions, preloaded: no database, no container.
// Reads {promotions, context, seconds} from standard input; writes {carts, seconds, taken}.
const Module = require("module");
const path = require("path");
const root = process.argv[2];
const inside = (name) => require(path.join(root, "node_modules", name));
const resolve = Module._resolveFilename;
Module._resolveFilename = function (name, ...rest) {
  // The framework only passes these on; the whole of it is not needed for pricing.
  const known = name === "@medusajs/framework/utils" ? path.join(root, "node_modules", "@medusajs/utils") : name;
  return resolve.call(this, known, ...rest);
};
const promotion = path.join("@medusajs", "promotion", "dist", "utils");
const { getComputedActionsForItems } = inside(path.join(promotion, "compute-actions", "line-items.js"));
const { areRulesValidForContext } = inside(path.join(promotion, "validations", "promotion-rule.js"));

const { promotions, context, seconds } = JSON.parse(require("fs").readFileSync(0, "utf8"));
// The loop of PromotionModuleService.computeActions, over promotions that were loaded before.
function price() {
  const applied = new Map();
  const actions = [];
  for (const one of promotions) {
    if (!areRulesValidForContext(one.rules, context, "order")) continue;
    actions.push(...getComputedActionsForItems(one, context.items, applied));
  }
  return [actions, applied];
}
for (let round = 0; round < 200; round++) price();
let carts = 0;
const started = process.cpuUsage();
const spent = () => { const { user, system } = process.cpuUsage(started); return (user + system) / 1e6; };
let last;
while (spent() < seconds) {
  for (let round = 0; round < 10; round++) last = price();
  carts += 10;
}
const taken = [...last[1].values()].map(Number);
console.log(JSON.stringify({ carts, seconds: spent(), actions: last[0].length, taken }));
