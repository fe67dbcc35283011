/**
 * etcd's API as JSON over HTTP, as grpc-gateway has it: `POST /v3/kv/put {"key":"Zm9v",…}`. It
 * calls the same methods as gRPC does, with the same tables of messages; none is written by hand.
 *
 *   routes.ts         which path calls which method
 *   json-codec.ts     messages as JSON: base64, 64-bit integers as strings, defaults left out
 *   json-kinds.ts     what JSON says otherwise than the tables tell: names of enums, signed ids
 *   json-splitter.ts  one JSON value after the other in the body of a request
 *   gateway.ts        one request: checks, the method's kind, the answer or stream of answers
 *   gateway-call.ts   what the method sees of it
 *   refusal.ts        errors as grpc-gateway tells them
 *   exchange.ts       a request and its answer, whichever HTTP they came by; over HTTP/1.1
 *   http2-exchange.ts over HTTP/2, which is what clients speak on a TLS port
 */
export { type HttpExchange, type HttpHandlers, nodeExchange } from './exchange.ts';
export { createGateway, type Gateway, type GatewayOptions } from './gateway.ts';
export { http2Exchange } from './http2-exchange.ts';
export { GATEWAY_LIMITS, type GatewayLimits } from './limits.ts';
