// An OpenID Connect issuer to try the service's identity with. Only for trials: everybody can read the secrets below.
// `npm ci && npm start` runs it at http://localhost:9000. ISSUER sets another address; https needs the files TLS_CERTIFICATE and TLS_KEY.
// It keeps its keys in memory. `kill -HUP` makes a new key to sign with and still publishes the one before.
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer as createHttp } from 'node:http';
import { createServer as createHttps } from 'node:https';
import Provider from 'oidc-provider';

const issuer = process.env.ISSUER ?? 'http://localhost:9000';
const audience = 'core-banking';
const reading = ['accounts:read', 'transactions:read', 'holds:read', 'events:read', 'audit:read'];
const scopes = [...reading, 'accounts:write', 'accounts:manage', 'transactions:write', 'transactions:reverse', 'holds:write'];

const client = (client_id, client_secret, allowed) => ({
  client_id, client_secret, scope: allowed.join(' '), grant_types: ['client_credentials'], response_types: [], redirect_uris: [],
});

const configuration = {
  clients: [client('teller', 'teller-secret', scopes), client('auditor', 'auditor-secret', reading)],
  scopes,
  ttl: { ClientCredentials: 600 },
  cookies: { keys: [randomUUID()] },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => `urn:${audience}`, // the only one, so that no client has to name it
      getResourceServerInfo: () => ({ audience, scope: scopes.join(' '), accessTokenFormat: 'jwt' }),
    },
  },
};

const newKey = () => ({
  ...generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg: 'RS256',
});

let keys = [];
let answer;
function rotate() {
  keys = [newKey(), ...keys.slice(0, 1)];
  answer = new Provider(issuer, { ...configuration, jwks: { keys } }).callback();
}

rotate();
process.on('SIGHUP', rotate);
const { protocol, hostname, port } = new URL(issuer);
const serve = (request, response) => answer(request, response);
const server = protocol === 'https:'
  ? createHttps({ cert: readFileSync(process.env.TLS_CERTIFICATE), key: readFileSync(process.env.TLS_KEY) }, serve)
  : createHttp(serve);
server.listen(port, hostname, () => console.log(`Ready. The issuer is ${issuer}; its clients are teller and auditor.`));
