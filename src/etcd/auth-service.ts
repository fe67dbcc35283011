import type { GrpcUnaryMethod } from '../grpc/index.ts';
import { unavailable } from './cluster-service.ts';
import type { Methods } from './context.ts';
import { etcdError } from './errors.ts';

const NAMES = [
  'AuthEnable',
  'AuthStatus',
  'UserAdd',
  'UserGet',
  'UserList',
  'UserDelete',
  'UserChangePassword',
  'UserGrantRole',
  'UserRevokeRole',
  'RoleAdd',
  'RoleGet',
  'RoleList',
  'RoleDelete',
  'RoleGrantPermission',
  'RoleRevokePermission',
] as const;

/** etcdserverpb.Auth: there are no users. Clients that try a password go on when told so. */
export function authMethods(): Methods {
  return {
    ...Object.fromEntries(NAMES.map((name) => [name, unavailable('keeping users and roles')])),
    Authenticate: NOT_ENABLED,
    AuthDisable: NOT_ENABLED,
  };
}

const NOT_ENABLED: GrpcUnaryMethod = {
  type: 'unary',
  handle() {
    throw etcdError('FAILED_PRECONDITION', 'authentication is not enabled');
  },
};
