// The official SignalR client, driven from stdin and telling on stdout, a line of JSON each. It knows nothing of rxfeed.
import { createInterface } from "node:readline";
import { HubConnectionBuilder, LogLevel } from "@microsoft/signalr";

const tell = (event, more = {}) => process.stdout.write(JSON.stringify({ event, ...more }) + "\n");
const settings = JSON.parse(process.argv[2]);

const options = {};
if (settings.skip) Object.assign(options, { skipNegotiation: true, transport: 1 });
if (settings.token) options.accessTokenFactory = () => settings.token;

const builder = new HubConnectionBuilder().withUrl(settings.url, options).configureLogging(LogLevel.None);
if (settings.reconnect) builder.withAutomaticReconnect(settings.reconnect);
if (settings.serverTimeout) builder.withServerTimeout(settings.serverTimeout);
if (settings.keepAlive) builder.withKeepAliveInterval(settings.keepAlive);
const hub = builder.build();

for (const target of settings.targets ?? []) hub.on(target, (...given) => tell("called", { target, arguments: given }));
hub.on("Double", (number) => 2 * number);
hub.onreconnecting((error) => tell("reconnecting", { error: error?.message ?? null }));
hub.onreconnected((id) => tell("reconnected", { id }));
hub.onclose((error) => tell("closed", { error: error?.message ?? null }));

const actions = {
    start: async () => { await hub.start(); return { id: hub.connectionId }; },
    stop: async () => { await hub.stop(); return {}; },
    invoke: async ({ target, arguments: given }) => ({ result: await hub.invoke(target, ...given) }),
    send: async ({ target, arguments: given }) => { await hub.send(target, ...given); return {}; },
};

for await (const line of createInterface({ input: process.stdin })) {
    const command = JSON.parse(line);
    try {
        tell("done", { do: command.do, ...(await actions[command.do](command)) });
    } catch (error) {
        tell("failed", { do: command.do, error: error.message });
    }
}
await hub.stop();
